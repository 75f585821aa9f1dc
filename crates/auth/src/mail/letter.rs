//! What letters say, in both languages. No letter has a link: a code is typed, and nobody has to trust an address.

use domain::locale::{Locale, Text};

use super::{Notice, code::Purpose, mailer::Written};

const VERIFY: (Text, Text) = (
    Text::new("[Maru] 이메일 확인 코드", "[Maru] Your e-mail code"),
    Text::new(
        "아래 코드를 입력해 이메일 주소를 확인해 주세요. 10분 동안 유효합니다.",
        "Enter this code to prove your e-mail address. It is good for ten minutes.",
    ),
);
const RESET: (Text, Text) = (
    Text::new("[Maru] 비밀번호 재설정 코드", "[Maru] Your password code"),
    Text::new(
        "아래 코드를 입력하면 새 비밀번호를 정할 수 있습니다. 10분 동안 유효합니다.",
        "Enter this code to choose a new password. It is good for ten minutes.",
    ),
);
const NOT_YOU: Text = Text::new(
    "요청하신 적이 없다면 이 메일은 무시하셔도 됩니다. 코드는 누구에게도 알려 주지 마세요.",
    "If you did not ask for it, ignore this letter. Tell nobody the code.",
);
const PASSWORD_CHANGED: (Text, Text) = (
    Text::new("[Maru] 비밀번호가 변경되었습니다", "[Maru] Your password was changed"),
    Text::new(
        "계정의 비밀번호가 변경되었고 다른 기기의 로그인은 모두 종료되었습니다.",
        "The password of your account was changed, and its logins on other devices have ended.",
    ),
);
const GOOGLE_LINKED: (Text, Text) = (
    Text::new("[Maru] Google 로그인이 연결되었습니다", "[Maru] Google login was linked"),
    Text::new(
        "이제 Google 계정으로도 로그인할 수 있습니다.",
        "Your account can be entered with your Google account now.",
    ),
);
const LOGIN_ENDED: (Text, Text) = (
    Text::new("[Maru] 로그인을 안전하게 종료했습니다", "[Maru] A login was ended to be safe"),
    Text::new(
        "이미 사용된 로그인 정보가 다시 사용되어 해당 로그인을 종료했습니다. 다시 로그인해 주세요.",
        "Login data that had been used before was used again, so that login was ended. Please log in again.",
    ),
);
const ACCOUNT_ERASED: (Text, Text) = (
    Text::new("[Maru] 계정을 삭제합니다", "[Maru] Your account is being erased"),
    Text::new(
        "요청하신 대로 계정과 모든 데이터를 삭제하고 있습니다.",
        "As you asked, your account and everything in it is being erased.",
    ),
);
const WAS_IT_YOU: Text =
    Text::new("본인이 아니라면 비밀번호를 재설정해 주세요.", "If this was not you, reset your password.");

/// Writes the letter with a code.
pub fn code(to: &str, locale: Locale, purpose: Purpose, code: &str) -> Written {
    let (subject, text) = match purpose {
        Purpose::VerifyEmail => VERIFY,
        Purpose::ResetPassword => RESET,
    };
    let [text, not_you] = [text, NOT_YOU].map(|text| text.in_locale(locale));
    Written {
        to: to.to_owned(),
        subject: subject.in_locale(locale).to_owned(),
        text: format!("{text}\n\n    {code}\n\n{not_you}\n"),
    }
}

/// Writes a notice.
pub fn notice(to: &str, locale: Locale, notice: Notice) -> Written {
    let (subject, text) = match notice {
        Notice::PasswordChanged => PASSWORD_CHANGED,
        Notice::GoogleLinked => GOOGLE_LINKED,
        Notice::LoginEnded => LOGIN_ENDED,
        Notice::AccountErased => ACCOUNT_ERASED,
    };
    let [text, was_it_you] = [text, WAS_IT_YOU].map(|text| text.in_locale(locale));
    Written {
        to: to.to_owned(),
        subject: subject.in_locale(locale).to_owned(),
        text: format!("{text}\n\n{was_it_you}\n"),
    }
}
