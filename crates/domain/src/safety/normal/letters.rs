//! What each character counts as: a letter, a gap, or nothing.

use unicode_normalization::char::decompose_canonical;

use super::Gap;

/// Puts syllables together that were written in single jamo (`ㅈㅏㅅㅏㄹ`); nothing when there are none.
///
/// The normal form does half of it: it never makes a final consonant of one. A syllable that was written whole takes no
/// final, or the laugh in `죽을까ㅋㅋ` would change the word before it.
pub(super) fn compose_jamo(text: &str) -> Option<String> {
    const LEADS: &str = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
    const FINALS: &str = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";
    let place = |list: &str, jamo: char| list.chars().zip(0_u32..).find(|(at, _)| *at == jamo).map(|(_, index)| index);
    let vowel = |jamo: char| ('ㅏ'..='ㅣ').contains(&jamo).then(|| u32::from(jamo) - u32::from('ㅏ'));
    if !text.chars().any(|letter| vowel(letter).is_some()) {
        return None;
    }
    let mut composed = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // Laughter and weeping (`ㅎㅠ`) are no syllable.
        let lead = if matches!(letter, 'ㄱ'..='ㅊ' | 'ㅌ' | 'ㅍ') { place(LEADS, letter) } else { None };
        // `ㅈ ㅏ 살`: one space does not part what stands alone anyway.
        let spaced = lead.is_some() && letters.peek() == Some(&' ');
        let mut ahead = letters.clone();
        let next = if spaced { ahead.nth(1) } else { ahead.next() };
        let (Some(lead), Some(middle)) = (lead, next.and_then(vowel)) else {
            composed.push(letter);
            continue;
        };
        letters = ahead;
        let mut after = letters.clone();
        let final_jamo = after.next().and_then(|jamo| place(FINALS, jamo).map(|index| index + 1));
        let is_final = final_jamo.is_some() && after.next().is_none_or(|next| vowel(next).is_none());
        let last = if is_final { final_jamo.unwrap_or(0) } else { 0 };
        if is_final {
            letters.next();
        }
        composed.extend(char::from_u32(0xAC00 + (lead * 21 + middle) * 28 + last));
    }
    Some(composed)
}

/// Returns whether a letter is a whole Korean syllable.
pub(super) const fn is_syllable(letter: char) -> bool {
    matches!(letter, '가'..='힣')
}

/// Returns the small form of a letter. The one letter whose small form is two has a dot for the second, which is dropped
/// like every other mark.
pub(super) fn small(letter: char) -> char {
    if letter.is_ascii() {
        letter.to_ascii_lowercase()
    } else if is_syllable(letter) {
        letter
    } else {
        letter.to_lowercase().next().unwrap_or(letter)
    }
}

/// Returns whether a character is invisible or only decorates the one before it.
pub(super) fn is_ignorable(letter: char) -> bool {
    !is_syllable(letter)
        && matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}'
        // Apostrophes: `don't` is one word.
        | '\'' | '’' | '‘' | '`' | '´' | 'ʼ' | '′')
}

/// Returns the letter that a character counts as, if it counts as one.
pub(super) fn kept_letter(previous: char, letter: char, next: char, last: Option<char>) -> Option<char> {
    match letter {
        'a'..='z' | '가'..='힣' => Some(letter),
        // Laughter and weeping are no letters; other lone consonants may be initials (`ㅈㅅ`).
        '\u{110f}' | '\u{1112}' | '\u{1161}'..='\u{1175}' => None,
        '0'..='9' | '@' | '$' | '!' | '|' | '€' => leet(previous, letter, next, last),
        _ if letter.is_ascii() || !letter.is_alphabetic() => None,
        _ => Some(latin(letter)),
    }
}

/// Reads a digit or a sign inside a Latin word as the letter it looks like.
fn leet(previous: char, sign: char, next: char, last: Option<char>) -> Option<char> {
    let touches = previous.is_ascii_alphabetic() || next.is_ascii_alphabetic();
    let within = previous.is_ascii_alphanumeric() && next.is_ascii_alphabetic();
    match sign {
        '0' if touches => Some('o'),
        // After `e` and `i` it is rather an l: `se1f`, `ki11`.
        '1' | '|' if touches || (previous == sign && last.is_some_and(|last| last.is_ascii())) => {
            Some(if matches!(last, Some('e' | 'i')) || previous == sign { 'l' } else { 'i' })
        }
        '3' | '€' if touches => Some('e'),
        '4' | '@' if touches => Some('a'),
        '5' | '$' if touches => Some('s'),
        '7' if touches => Some('t'),
        '!' if within => Some('i'),
        _ => None,
    }
}

/// Reads a letter of another script as the Latin one it imitates, and drops its accents.
fn latin(letter: char) -> char {
    match letter {
        'а' => return 'a',
        'е' | 'ё' => return 'e',
        'о' | 'ο' => return 'o',
        'р' => return 'p',
        'с' => return 'c',
        'у' => return 'y',
        'х' => return 'x',
        'і' | 'ı' | 'ι' => return 'i',
        'ѕ' => return 's',
        'к' | 'κ' => return 'k',
        'м' => return 'm',
        'т' => return 't',
        _ => {}
    }
    let mut base = letter;
    let mut first = true;
    decompose_canonical(letter, |part| {
        if first && part.is_ascii_alphabetic() {
            base = part;
        }
        first = false;
    });
    base
}

pub(super) fn gap_of(previous: char, sign: char, next: char) -> Gap {
    let open = next.is_whitespace();
    match sign {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => Gap::Line,
        _ if sign.is_whitespace() => Gap::Space,
        // Dots that trail off part no sentences: `죽고.. 싶어..`
        '.' if previous == '.' || next == '.' => Gap::Pause,
        '.' | '!' | '?' | '。' | ';' if open => Gap::Stop,
        ',' | '、' if open => Gap::Pause,
        _ => Gap::Sign,
    }
}
