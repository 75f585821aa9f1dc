//! What an account's fields may be.

mod common;

pub use common::is_common_password;

use crate::fault::Violations;

/// Fewest characters of a password.
pub const PASSWORD_MIN: usize = 8;
/// Most characters of a password; every one of them counts, nothing is cut off.
pub const PASSWORD_MAX: usize = 128;
/// Most characters of a name.
pub const NAME_MAX: usize = 100;
/// Longest e-mail address that mail servers must accept (RFC 5321, 4.5.3.1.3).
pub const EMAIL_MAX: usize = 254;

/// An e-mail address, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Reads an address, recording a violation at `/email` when it cannot be one.
    ///
    /// Checks the shape only: whether mail arrives is found out by sending some.
    pub fn parse(text: &str, violations: &mut Violations) -> Option<Self> {
        let text = text.trim();
        let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            let sound =
                |part: &str| !part.chars().any(|c| c.is_control() || c.is_whitespace() || "@,;<>()[]\\\"".contains(c));
            !local.is_empty()
                && local.len() <= 64
                && sound(local)
                && sound(domain)
                && domain.split('.').count() >= 2
                && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        });
        if well_formed && text.len() <= EMAIL_MAX {
            return Some(Self(text.to_owned()));
        }
        violations.add("/email", "not_an_email", "이메일 주소를 확인해 주세요.", "This is not an e-mail address.");
        None
    }

    /// Returns the address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form that decides whether two addresses are the same account.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// Reads a display name, recording a violation at `/name` when it is empty, too long or not readable text.
pub fn parse_name(text: &str, violations: &mut Violations) -> Option<String> {
    let name = text.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX {
        violations.add("/name", "length", "이름은 1-100자여야 합니다.", "A name has 1-100 characters.");
        return None;
    }
    // Bidirectional overrides and invisible characters make one name look like another.
    let deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if name.chars().any(deceptive) {
        violations.add(
            "/name",
            "not_readable",
            "이름에 쓸 수 없는 문자가 있습니다.",
            "The name has characters that cannot be shown.",
        );
        return None;
    }
    Some(name.to_owned())
}

/// Longest address of a picture.
pub const PICTURE_MAX: usize = 2048;

/// Reads the address of a picture, recording a violation at `/picture` when it is none; an empty one takes it away.
///
/// Only its shape is judged: nobody here fetches it, and clients load it over https from wherever it is.
pub fn parse_picture(text: &str, violations: &mut Violations) -> Option<String> {
    let url = text.trim();
    if url.is_empty() {
        return None;
    }
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let sound = !host.is_empty()
        && !host.contains('@')
        && url.len() <= PICTURE_MAX
        && url.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    violations.require(
        sound,
        "/picture",
        "not_an_address",
        "https로 시작하는 그림 주소여야 합니다.",
        "This is not the https address of a picture.",
    );
    sound.then(|| url.to_owned())
}

/// Whose password it is to be, as far as the password must not repeat it.
#[derive(Clone, Copy, Debug)]
pub struct PasswordOwner<'a> {
    /// E-mail address, sound or not.
    pub email: &'a str,
    /// Display name, sound or not.
    pub name: &'a str,
}

impl PasswordOwner<'_> {
    /// Returns whether a password is the address, the part of it before the `@`, or the name; case does not matter.
    fn is_repeated_by(&self, password: &str) -> bool {
        let password = password.trim().to_lowercase();
        let email = self.email.trim().to_lowercase();
        let local = email.split_once('@').map_or(email.as_str(), |(local, _)| local);
        [email.as_str(), local, self.name.trim().to_lowercase().as_str()].contains(&password.as_str())
    }
}

/// Checks a new password, recording violations at `pointer`.
///
/// Its length and nothing else is asked of it, as long as it is not what anyone would guess first.
pub fn check_password(password: &str, owner: PasswordOwner<'_>, pointer: &str, violations: &mut Violations) {
    let length = password.chars().count();
    violations.require(
        (PASSWORD_MIN..=PASSWORD_MAX).contains(&length),
        pointer,
        "length",
        "비밀번호는 8-128자여야 합니다.",
        "A password has 8-128 characters.",
    );
    violations.require(
        !password.contains('\0'),
        pointer,
        "not_readable",
        "비밀번호에 쓸 수 없는 문자가 있습니다.",
        "The password has a character that cannot be used.",
    );
    violations.require(
        !is_common_password(password),
        pointer,
        "common",
        "흔히 쓰이는 비밀번호입니다. 다른 비밀번호를 정해 주세요.",
        "This password is on a list of common ones. Please choose another.",
    );
    violations.require(
        length < PASSWORD_MIN || !owner.is_repeated_by(password),
        pointer,
        "personal",
        "이메일 주소나 이름은 비밀번호로 쓸 수 없습니다.",
        "A password cannot be your e-mail address or your name.",
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(text: &str) -> Option<EmailAddress> {
        EmailAddress::parse(text, &mut Violations::new())
    }

    #[test]
    fn addresses_are_judged_by_their_shape() {
        for good in ["a@b.kr", "First.Last+tag@Sub.Example.COM", "한글@예시.한국", "  trimmed@example.com "] {
            assert!(email(good).is_some(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in
            ["", "a", "a@b", "@b.kr", "a@b..kr", "a@b@c.kr", "a b@c.kr", "a@b.kr\r\nBcc: x@y.kr", "a@-b.kr", &long]
        {
            assert!(email(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn case_does_not_make_another_account() {
        assert_eq!(email("Demo@Maru.Dev").unwrap().key(), email("demo@maru.dev").unwrap().key());
        assert_eq!(email("Demo@Maru.Dev").unwrap().as_str(), "Demo@Maru.Dev");
    }

    #[test]
    fn a_name_that_hides_something_is_refused() {
        for bad in ["", "   ", "a\u{202e}b", "a\0b", "\u{200b}", &"가".repeat(101)] {
            assert!(parse_name(bad, &mut Violations::new()).is_none(), "{bad:?}");
        }
        assert_eq!(parse_name(" 김마루 ", &mut Violations::new()).as_deref(), Some("김마루"));
    }

    /// The codes that a password of Kim Minseo is refused with.
    fn judge(password: &str) -> Vec<&'static str> {
        let owner = PasswordOwner { email: " Kim.Minseo@Example.com", name: "Kim Minseo" };
        let mut violations = Violations::new();
        check_password(password, owner, "/password", &mut violations);
        violations.as_slice().iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn a_picture_is_an_https_address() {
        let judge = |url: &str| {
            let mut violations = Violations::new();
            (parse_picture(url, &mut violations), violations.into_result().is_ok())
        };
        let good = "https://lh3.example.com/a?b=c#d";
        assert_eq!(judge(&format!(" {good} ")), (Some(good.to_owned()), true));
        assert_eq!(judge("  "), (None, true));
        for bad in [
            "http://a.b/c",
            "javascript:alert(1)",
            "https://",
            "https://user@host/",
            "https://a.b/<script>",
            "https://a b",
        ] {
            assert_eq!(judge(bad), (None, false), "{bad}");
        }
    }

    #[test]
    fn password_length_counts_characters() {
        assert!(judge("비밀번호여덟글자").is_empty());
        assert_eq!(judge("일곱글자비밀번"), ["length"]);
        assert!(judge(&"x".repeat(128)).is_empty());
        assert_eq!(judge(&"x".repeat(129)), ["length"]);
    }

    #[test]
    fn a_password_that_is_guessed_first_is_refused() {
        assert_eq!(judge("Password1"), ["common"]);
        for personal in ["kim.minseo@example.com", "Kim.Minseo", "KIM MINSEO", " kim minseo "] {
            assert_eq!(judge(personal), ["personal"], "{personal}");
        }
        assert!(judge("kim.minseo sleeps here").is_empty());
        // Too short is said once, whatever else it is.
        let owner = PasswordOwner { email: "a@b.kr", name: "짧은 이름" };
        let mut violations = Violations::new();
        check_password("짧은 이름", owner, "/password", &mut violations);
        assert_eq!(violations.as_slice().len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in ".*") {
            _ = email(&text);
            _ = parse_name(&text, &mut Violations::new());
            _ = judge(&text);
        }
    }
}
