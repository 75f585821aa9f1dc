//! Passwords that are tried first by whoever guesses.
//!
//! The list beside this file comes from Django (three-clause BSD, see `common_passwords.LICENSE` and `README.md` there)
//! and was made from passwords that leaked. It knows little Korean, so a few that people here type are added. A list
//! stops the first thousands of guesses and no more; the limits on logins have to stop the rest.

use std::sync::LazyLock;

/// In lower case, sorted, each once, eight characters or more.
static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// What the list lacks: Korean words typed with the keyboard set to English (`dkssud` is 안녕, `tkfkdgo` is 사랑해,
/// `qlalfqjsgh` is 비밀번호), the walks over the keyboard with what a rule about signs makes people add, and the words
/// themselves.
const KOREAN: [&str; 34] = [
    "1q2w3e4r!",
    "1q2w3e4r5t!",
    "1q2w3e4r@@",
    "asdf1234!",
    "dkssud12!",
    "dkssud123",
    "dkssud1234",
    "dkssudgktpdy",
    "dlfflwkr",
    "eogksalsrnr",
    "eogksalsrnr1",
    "gksrmf12",
    "gksrmf123",
    "gksrmf1234",
    "korea1234",
    "qlalfqjsgh",
    "qlalfqjsgh1",
    "qlalfqjsgh12",
    "qlalfqjsgh123",
    "qlalfqjsgh1234",
    "qwe123!@#",
    "qwer1234!",
    "qwer1234@",
    "qwer123!",
    "rkskekfk",
    "rkskekfkakqktk",
    "seoul1234",
    "tkfkdgo12",
    "tkfkdgo123",
    "tkfkdgo1234",
    "비밀번호1234",
    "안녕하세요123",
    "안녕하세요1234",
    "안녕하세요안녕하세요",
];

/// Returns whether a password is one that many people have; case does not matter.
pub fn is_common_password(password: &str) -> bool {
    let password = password.to_lowercase();
    COMMON.binary_search(&password.as_str()).is_ok() || KOREAN.contains(&password.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::PASSWORD_MIN;

    #[test]
    fn the_list_can_be_searched_and_holds_nothing_that_is_refused_anyway() {
        assert!(COMMON.len() > 8_000);
        assert!(COMMON.is_sorted_by(|earlier, later| earlier < later), "sorted, each once");
        let sound = |word: &&str| word.chars().count() >= PASSWORD_MIN && word.to_lowercase() == **word;
        assert!(COMMON.iter().all(sound) && KOREAN.iter().all(sound));
        assert!(KOREAN.iter().all(|word| COMMON.binary_search(word).is_err()), "added once");
    }

    #[test]
    fn what_many_people_type_is_known_whatever_its_case() {
        for common in
            ["password", "PassWord1", "qwer1234", "QWER1234!", "dkssud12", "1q2w3e4r", "asdf1234", "안녕하세요123"]
        {
            assert!(is_common_password(common), "{common}");
        }
    }

    #[test]
    fn what_few_people_type_is_not() {
        for rare in
            ["", "correct horse battery staple", "마루 위에서 잔다 7", "password ", "x7#kQ2!mv0", crate::demo::PASSWORD]
        {
            assert!(!is_common_password(rare), "{rare}");
        }
    }
}
