//! What a reply does, as a line: `ttft=200,itl=20,n=100,cut=37`.

use std::time::Duration;

/// How the last chunk says that the reply is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// With this reason; chunks before it have none.
    Reason(String),
    /// With `stop`; chunks before it have an empty text for a reason, as some servers do.
    Empty,
    /// Not at all.
    Never,
    /// With `stop`.
    #[default]
    Stop,
}

/// What a reply does. Numbers of tokens count from 0: `cut = Some(3)` sends three.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a script is made of switches")]
pub struct Script {
    /// Time to the first token.
    pub ttft: Duration,
    /// Time from token to token.
    pub itl: Duration,
    /// How many tokens, unless the text is given.
    pub n: usize,
    /// What decides the words; the last message when absent.
    pub seed: Option<u64>,
    /// The words themselves.
    pub text: Option<Vec<String>>,
    /// Whether each event is sent in two parts that are cut inside a letter.
    pub splits: bool,
    /// Whether lines end in CRLF.
    pub crlf: bool,
    /// How many events come in one packet.
    pub glue: usize,
    /// How it says that it is over.
    pub finish: Finish,
    /// Whether it says `[DONE]`.
    pub done: bool,
    /// After how many tokens the connection breaks.
    pub cut: Option<usize>,
    /// A status that is answered instead of a reply, and its `Retry-After`.
    pub err: Option<(u16, Option<u64>)>,
    /// Whether that error says that the prompt is too long.
    pub context: bool,
    /// Whether a page is answered with status 200.
    pub page: bool,
    /// After how many tokens an error comes in the stream.
    pub inband_err: Option<usize>,
    /// After how many tokens nothing more comes.
    pub stall: Option<usize>,
    /// Before which token chunks come that are no JSON, and how many.
    pub badjson: Option<usize>,
    /// See `badjson`.
    pub bads: usize,
    /// Whether it says how many tokens it took, when it is asked.
    pub usage: bool,
    /// Letters a token is made longer by.
    pub pad: usize,
    /// The reason of a refusal, in place of any text.
    pub refusal: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            ttft: Duration::ZERO,
            itl: Duration::ZERO,
            n: 20,
            seed: None,
            text: None,
            splits: false,
            crlf: false,
            glue: 1,
            finish: Finish::Stop,
            done: true,
            cut: None,
            err: None,
            context: false,
            page: false,
            inband_err: None,
            stall: None,
            badjson: None,
            bads: 1,
            usage: true,
            pad: 0,
            refusal: None,
        }
    }
}

impl From<&str> for Script {
    fn from(line: &str) -> Self {
        Self::parse(line).unwrap_or_else(|wrong| panic!("a script has no {wrong:?}"))
    }
}

impl Script {
    /// Makes a script that says a text word by word.
    pub fn saying(text: &str) -> Self {
        let words = text.split_inclusive(' ').map(ToOwned::to_owned).collect();
        Self { text: Some(words), ..Self::default() }
    }

    /// Reads a line of `key=value` with commas between; a part without `=` is a name and says nothing.
    ///
    /// # Errors
    /// Returns the part that cannot be read.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for part in line.split(',').map(str::trim) {
            let Some((key, value)) = part.split_once('=') else { continue };
            script.set(key, value).ok_or_else(|| part.to_owned())?;
        }
        Ok(script)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let number = || value.parse::<usize>().ok();
        let millis = || value.parse().ok().map(Duration::from_millis);
        let flag = || value != "0";
        match key {
            "ttft" => self.ttft = millis()?,
            "itl" => self.itl = millis()?,
            "n" => self.n = number()?,
            "seed" => self.seed = Some(value.parse().ok()?),
            "chunk" => match value {
                "utf8split" => self.splits = true,
                "crlf" => self.crlf = true,
                _ => self.glue = value.strip_prefix("glue")?.parse().ok()?,
            },
            "finish" => {
                self.finish = match value {
                    "empty" => Finish::Empty,
                    "none" => Finish::Never,
                    reason => Finish::Reason(reason.to_owned()),
                }
            }
            "done" => self.done = flag(),
            "cut" => self.cut = Some(number()?),
            "err" => {
                let (status, after) = value.split_once(':').map_or((value, None), |(s, a)| (s, Some(a)));
                self.context = status == "context";
                let status = if self.context { 400 } else { status.parse().ok()? };
                self.err = Some((status, after.map(str::parse).transpose().ok()?));
            }
            "page" => self.page = flag(),
            "inband_err" => self.inband_err = Some(number()?),
            "stall" => self.stall = Some(number()?),
            "badjson" => self.badjson = Some(number()?),
            "bads" => self.bads = number()?,
            "usage" => self.usage = flag(),
            "pad" => self.pad = number()?,
            _ => return None,
        }
        Some(())
    }

    /// Returns the tokens of a reply to a message.
    pub fn tokens(&self, message: &str) -> Vec<String> {
        let mut tokens = match &self.text {
            Some(text) => text.clone(),
            None => words(self.seed.unwrap_or_else(|| digest(message)), self.n),
        };
        for token in &mut tokens {
            token.extend(std::iter::repeat_n('가', self.pad));
        }
        tokens
    }
}

/// What a reply is made of: nothing that a watch over replies cuts, and nothing it holds back when a reply begins with it.
const WORDS: [&str; 24] = [
    "오늘 ",
    "하루는 ",
    "조금 ",
    "무거웠다면 ",
    "이런 ",
    "마음을 ",
    "여기에 ",
    "내려놓아도 ",
    "좋아요. ",
    "숨을 ",
    "세면서 ",
    "천천히 ",
    "이야기해 ",
    "주세요. ",
    "🙂 ",
    "그랬군요. ",
    "어떤 ",
    "장면에서 ",
    "떠오르나요? ",
    "listen ",
    "slowly ",
    "quiet ",
    "é ",
    "\n",
];

/// Returns `n` words that a seed decides.
pub fn words(seed: u64, n: usize) -> Vec<String> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64: every seed, also 0, gives words of its own.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % 24).unwrap_or_default()
    };
    (0..n).filter_map(|_| WORDS.get(next()).map(ToString::to_string)).collect()
}

/// FNV-1a: the same everywhere and always.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
