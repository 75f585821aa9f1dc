//! Text of people, made harmless for a prompt: it stays readable and stops being mistaken for a frame.

/// What models take for the end of a message or the beginning of another, in small letters.
const TAGS: [&str; 22] = [
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "<</sys>>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<system>",
    "</system>",
    "<assistant>",
    "</assistant>",
    "<user>",
    "</user>",
    "<think>",
    "</think>",
    "[system_prompt]",
    "[/system_prompt]",
    "<tool_call>",
    "</tool_call>",
];
/// Who may seem to speak at the start of a line.
const SPEAKERS: [&str; 12] = [
    "system",
    "assistant",
    "user",
    "human",
    "ai",
    "developer",
    "tool",
    "function",
    "시스템",
    "어시스턴트",
    "사용자",
    "개발자",
];
/// Decoration before a speaker's name.
const DECORATION: [char; 8] = ['#', '*', '>', '-', '_', '[', '(', '`'];

/// Makes a text harmless: special tokens are parted by a space, and a line that seems to be spoken by somebody else has
/// a dash in place of its colon. Everything else stays as it is, and doing it twice changes nothing more.
pub fn neutralised(text: &str) -> String {
    let mut neutral = String::with_capacity(text.len() + 8);
    // Whatever a model may see as the end of a line is one.
    let text = text.replace("\r\n", "\n");
    let lines = text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
    for (index, line) in lines.enumerate() {
        if index > 0 {
            neutral.push('\n');
        }
        let mut line = parted(line);
        // One colon fewer each time.
        while let Some(dashed) = dashed(&line) {
            line = dashed;
        }
        neutral.push_str(&line);
    }
    neutral
}

/// Makes a text harmless and quotes every line of it.
pub fn quoted(text: &str) -> String {
    let lines = neutralised(text.trim());
    let lines: Vec<_> = lines.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.iter().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// Returns where the colon of a line stands that begins with a speaker's name.
fn speaker_colon(line: &str) -> Option<usize> {
    let at = line.find([':', '：'])?;
    let name = line.get(..at)?;
    let bare = name.trim_matches(|c: char| c.is_whitespace() || DECORATION.contains(&c) || matches!(c, ']' | ')'));
    let bare = bare.trim_matches(|c: char| !c.is_alphanumeric());
    let first = bare.split_whitespace().next()?.to_lowercase();
    let is_short = bare.split_whitespace().count() <= 2;
    (is_short && SPEAKERS.contains(&first.as_str())).then_some(at)
}

/// Puts a dash in place of the colon after a speaker's name.
fn dashed(line: &str) -> Option<String> {
    let (name, rest) = line.split_at_checked(speaker_colon(line)?)?;
    let rest = rest.trim_start_matches([':', '：', ' ']);
    Some(format!("{} - {rest}", name.trim_end()))
}

/// Parts what may be a special token.
fn parted(line: &str) -> String {
    let mut neutral = String::with_capacity(line.len() + 8);
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let is_open = matches!(letter, '<' | '[');
        let token = TAGS
            .iter()
            .filter(|_| is_open)
            .find(|tag| rest.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)));
        if let Some(token) = token {
            let (open, inner) = token.split_at_checked(1).unwrap_or((token, ""));
            neutral.push_str(open);
            neutral.push(' ');
            neutral.push_str(rest.get(open.len()..open.len() + inner.len()).unwrap_or_default());
            rest = rest.get(token.len()..).unwrap_or_default();
            continue;
        }
        neutral.push(letter);
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        let next = rest.chars().next();
        let is_open = letter == '<' && matches!(next, Some('|' | '｜'));
        let is_close = matches!(letter, '|' | '｜') && next == Some('>');
        if is_open || is_close {
            neutral.push(' ');
        }
    }
    neutral
}
