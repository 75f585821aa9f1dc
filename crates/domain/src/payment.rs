//! Paying for a reservation, and coming in with what was paid for.
//!
//! A payment is `prepared` while its buyer decides, `authorising` from the moment we ask the provider for the money until
//! we know what came of it, then `captured` or `failed`. Money that came and has no reservation to pay for any more is
//! `refund_pending` until it is `refunded`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Kind, Violations},
    locale::Text,
};

/// Longest payment key of a provider, as Toss Payments promises.
pub const PAYMENT_KEY_MAX: usize = 200;

/// No such payment, or somebody else's.
pub const PAYMENT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "payment_not_found", "결제 내역을 찾을 수 없습니다.", "There is no such payment.");
/// The reservation is paid for, in another way than the one that is offered.
pub const ALREADY_PAID: Fault =
    Fault::new(Kind::Conflict, "already_paid", "이미 결제된 예매입니다.", "This reservation is already paid for.");
/// The provider is being asked at this moment.
pub const PAYMENT_IN_PROGRESS: Fault = Fault::new(
    Kind::Conflict,
    "payment_in_progress",
    "결제를 처리하고 있습니다. 잠시 뒤에 다시 확인해 주세요.",
    "The payment is being processed. Please look again shortly.",
);
/// The provider said no; `reason` is its code.
pub const PAYMENT_DECLINED: Fault = Fault::new(
    Kind::Conflict,
    "payment_declined",
    "결제가 승인되지 않았습니다. 다른 결제 수단을 이용해 주세요.",
    "The payment was declined. Please try another way to pay.",
);
/// Nobody knows yet whether the money came. It will be found out: ask again with the same request.
pub const PAYMENT_PENDING: Fault = Fault::new(
    Kind::Unavailable,
    "payment_pending",
    "결제 결과를 확인하고 있습니다. 잠시 뒤에 다시 확인해 주세요.",
    "The result of the payment is being looked up. Please ask again shortly.",
);
/// The money came too late for what it was for, and goes back, or has.
pub const PAYMENT_REFUNDED: Fault = Fault::new(
    Kind::Conflict,
    "payment_refunded",
    "예매가 유효하지 않아 결제 금액을 환불합니다.",
    "The reservation is no longer valid; the payment is refunded.",
);
/// The buyer's consent belongs to another purchase.
pub const PAYMENT_KEY_USED: Fault = Fault::new(
    Kind::Conflict,
    "payment_key_used",
    "이미 사용된 결제 정보입니다.",
    "This payment key belongs to another payment.",
);
/// There is nobody to take money here.
pub const PAYMENTS_NOT_CONFIGURED: Fault = Fault::new(
    Kind::Unavailable,
    "payments_not_configured",
    "결제가 설정되지 않았습니다.",
    "Payments have not been set up here.",
);
/// No such ticket, a forged one, or one of somebody else's event.
pub const TICKET_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "ticket_not_found", "유효하지 않은 티켓입니다.", "There is no such ticket.");
/// Somebody came in with it; `checkedInAt` says when.
pub const ALREADY_CHECKED_IN: Fault = Fault::new(
    Kind::Conflict,
    "already_checked_in",
    "이미 입장한 티켓입니다.",
    "Somebody has already come in with this ticket.",
);
/// Its reservation is no longer confirmed.
pub const TICKET_VOID: Fault = Fault::new(
    Kind::Conflict,
    "ticket_void",
    "취소되었거나 환불된 티켓입니다.",
    "This ticket has been cancelled or refunded.",
);

/// Somebody came in with a ticket of the reservation, so it cannot be given back.
pub const TICKET_USED: Fault = Fault::new(
    Kind::Conflict,
    "ticket_used",
    "이미 입장한 예매는 취소할 수 없습니다.",
    "Somebody has come in with this reservation; it cannot be given back.",
);

/// How somebody pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Naver Pay.
    NaverPay,
    /// Kakao Pay.
    KakaoPay,
    /// A transfer from a bank account.
    BankTransfer,
    /// Toss Payments' own window, where cards and other wallets are chosen.
    TossPayments,
}

impl PaymentMethod {
    /// Every method, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::NaverPay, Self::KakaoPay, Self::BankTransfer, Self::TossPayments];

    /// Returns the method's name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NaverPay => "naver_pay",
            Self::KakaoPay => "kakao_pay",
            Self::BankTransfer => "bank_transfer",
            Self::TossPayments => "toss_payments",
        }
    }

    /// Returns what people call it.
    pub const fn label(self) -> Text {
        match self {
            Self::NaverPay => Text::new("네이버페이", "Naver Pay"),
            Self::KakaoPay => Text::new("카카오페이", "Kakao Pay"),
            Self::BankTransfer => Text::new("계좌이체", "Bank transfer"),
            Self::TossPayments => Text::new("토스페이먼츠", "Toss Payments"),
        }
    }

    /// Reads a method's name, one of those that are offered.
    ///
    /// # Errors
    /// Points at `/paymentMethod`.
    pub fn parse(name: &str, offered: &[Self]) -> Result<Self, Violations> {
        let found = offered.iter().copied().find(|method| method.name() == name);
        found.ok_or_else(|| {
            let mut violations = Violations::new();
            violations.add(
                "/paymentMethod",
                "not_available",
                "사용할 수 없는 결제 수단입니다.",
                "This way to pay is not available here.",
            );
            violations
        })
    }
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// The buyer decides; nobody has been asked for money.
    Prepared,
    /// The provider has been asked, or is about to be; whether the money came is not known.
    Authorising,
    /// The money is here, and so is what it was for.
    Captured,
    /// The money is here and must go back.
    RefundPending,
    /// The money went back.
    Refunded,
    /// No money came.
    Failed,
}

impl PaymentStatus {
    const ALL: [Self; 6] =
        [Self::Prepared, Self::Authorising, Self::Captured, Self::RefundPending, Self::Refunded, Self::Failed];

    /// Returns the status's name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Authorising => "authorising",
            Self::Captured => "captured",
            Self::RefundPending => "refund_pending",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }

    /// Reads a status's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Refuses an amount that is not what is owed.
///
/// # Errors
/// Points at `/amount`.
pub fn check_amount(amount: i64, owed: i64) -> Result<(), Violations> {
    let mut violations = Violations::new();
    violations.require(
        amount == owed,
        "/amount",
        "amount_mismatch",
        "결제 금액이 예매 금액과 다릅니다.",
        "The amount is not what the reservation costs.",
    );
    violations.into_result()
}

/// Returns whether a text can be an order's id: what Toss Payments takes, and so what we make.
pub fn is_order_id(text: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (6..=64).contains(&text.len()) && text.bytes().all(is_sound)
}

/// Refuses a payment key that no provider makes: empty, too long, or with anything but visible ASCII.
///
/// # Errors
/// Points at `/paymentKey`.
pub fn check_payment_key(key: &str) -> Result<(), Violations> {
    let mut violations = Violations::new();
    violations.require(
        (1..=PAYMENT_KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()),
        "/paymentKey",
        "not_valid",
        "결제 키가 올바르지 않습니다.",
        "This is not a payment key.",
    );
    violations.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_methods_and_statuses_are_read_back() {
        for method in PaymentMethod::ALL {
            assert_eq!(PaymentMethod::parse(method.name(), &PaymentMethod::ALL), Ok(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
        }
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::parse(status.name()), Some(status));
        }
        assert_eq!(PaymentStatus::parse("paid"), None);
    }

    #[test]
    fn a_method_that_is_not_offered_is_pointed_at() {
        for name in ["bitcoin", "", "naver_pay"] {
            let refused = PaymentMethod::parse(name, &[PaymentMethod::TossPayments]).unwrap_err();
            assert_eq!(refused.as_slice()[0].pointer, "/paymentMethod");
        }
    }

    #[test]
    fn an_amount_is_what_is_owed_to_the_won() {
        assert!(check_amount(50_000, 50_000).is_ok());
        for amount in [0, -50_000, 49_999, 50_001, i64::MAX] {
            assert!(check_amount(amount, 50_000).is_err());
        }
    }

    #[test]
    fn an_order_id_has_letters_digits_dashes_and_underscores() {
        assert!(is_order_id("maru_0193") && is_order_id(&"a".repeat(64)));
        for text in ["", "short", "maru 0193", "maru_\u{0}", "주문_번호", &"a".repeat(65)] {
            assert!(!is_order_id(text), "{text:?}");
        }
    }

    #[test]
    fn a_payment_key_is_visible_ascii_of_a_bounded_length() {
        assert!(check_payment_key("tgen_20261128Ab-1_=").is_ok());
        for key in ["", " ", "a b", "키", "a\n", "a\0", &"k".repeat(PAYMENT_KEY_MAX + 1)] {
            assert!(check_payment_key(key).is_err(), "{key:?}");
        }
    }
}
