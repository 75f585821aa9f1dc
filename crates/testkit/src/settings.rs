//! Where the test run's PostgreSQL, Redis and object storage are.

/// Reads a variable of the test run.
///
/// # Panics
/// When it is missing, with what to do about it.
pub fn required(key: &str) -> String {
    optional(key).unwrap_or_else(|| panic!("{key} is not set: run the tests with `make test`, or `maru-dev test`"))
}

/// Reads a variable of the test run that may be absent.
pub fn optional(key: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the test run's own settings, read in one place")]
    let value = std::env::var(key);
    value.ok().filter(|value| !value.is_empty())
}

/// Returns where a Redis is that is no cluster: what stands between a service and Redis can stand before one server only.
///
/// # Panics
/// When the run has none.
pub fn single_redis_url() -> String {
    optional("MARU_TEST_SINGLE_REDIS_URL").unwrap_or_else(|| required("MARU_TEST_REDIS_URL"))
}

/// The test run's object storage.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Base URL.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// A bucket that exists.
    pub bucket: String,
    /// Access key.
    pub access_key_id: String,
    /// Secret key.
    pub secret_access_key: String,
}

/// Returns the test run's object storage.
///
/// # Panics
/// When the run has none.
pub fn s3() -> S3Settings {
    S3Settings {
        endpoint: required("MARU_TEST_S3_ENDPOINT"),
        region: required("MARU_TEST_S3_REGION"),
        bucket: required("MARU_TEST_S3_BUCKET"),
        access_key_id: required("MARU_TEST_S3_ACCESS_KEY"),
        secret_access_key: required("MARU_TEST_S3_SECRET_KEY"),
    }
}
