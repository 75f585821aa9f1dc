//! Korean particles that follow the sound of the word before them.

/// A particle of two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Josa {
    /// 이 or 가.
    Subject,
    /// 을 or 를.
    Object,
    /// 은 or 는.
    Topic,
    /// 과 or 와.
    With,
    /// 으로 or 로.
    Toward,
}

/// Returns a word with the fitting form of a particle. After a word that does not end in Korean, the form for a vowel.
pub fn with_josa(word: &str, josa: Josa) -> String {
    let last = word.chars().rev().find(|c| c.is_alphanumeric());
    let end = last.and_then(final_consonant).unwrap_or(0);
    // 으로 loses its vowel after ㄹ too.
    let is_closed = end != 0 && !(josa == Josa::Toward && end == RIEUL);
    let (closed, open) = match josa {
        Josa::Subject => ("이", "가"),
        Josa::Object => ("을", "를"),
        Josa::Topic => ("은", "는"),
        Josa::With => ("과", "와"),
        Josa::Toward => ("으로", "로"),
    };
    format!("{word}{}", if is_closed { closed } else { open })
}

/// The place of ㄹ and of ㅆ among the final consonants of a syllable.
const RIEUL: u32 = 8;
pub(super) const SSANGSIOT: u32 = 20;

/// Returns the place of a Korean syllable's final consonant, 0 for none; nothing for any other letter.
pub(super) fn final_consonant(syllable: char) -> Option<u32> {
    matches!(syllable, '가'..='힣').then(|| (u32::from(syllable) - u32::from('가')) % 28)
}
