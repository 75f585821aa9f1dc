//! Requests that try to be more than they are.

use reqwest::Method;

use crate::{Stage, caller::Answer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_what_a_client_names_in_connection_or_sends_as_a_trailer_ends_here() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let token = person.token.clone().unwrap();
    let ask = |lines: &str, body: &str| {
        let request =
            format!("POST /api/v1/sessions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{lines}\r\n{body}");
        let stage = &stage;
        async move { stage.raw(request.as_bytes()).await.to_lowercase() }
    };
    let named = "connection: close, idempotency-key, Authorization, X-Client-Ip, x-request-id, cookie\r\n\
                 idempotency-key: k1\r\ncontent-length: 0\r\n";
    let answer = ask(named, "").await;
    assert!(answer.starts_with("http/1.1 200 ") && !answer.contains("idempotency"), "{answer}");
    // What the gate itself says is not the client's to take away.
    for kept in ["\"authorization\",\"bearer ", "\"x-client-ip\",\"127.0.0.1\"", "\"x-request-id\",\""] {
        assert!(answer.contains(kept), "{kept}: {answer}");
    }
    let answer = ask("connection: close, content-length\r\ncontent-length: 2\r\n", "{}").await;
    assert!(answer.contains("\"body_length\":2") && answer.contains("\"content-length\",\"2\""), "{answer}");
    let trailers = "2\r\n{}\r\n0\r\nX-User-Id: forged\r\nAuthorization: Bearer forged\r\n\r\n";
    let answer = ask("transfer-encoding: chunked\r\ntrailer: x-user-id\r\nconnection: close\r\n", trailers).await;
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains("\"body_length\":2"), "{answer}");
    assert!(!answer.contains("forged") && !answer.contains("trailer"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_24_a_method_is_what_the_request_line_says() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let request = person.request(Method::POST, "/api/v1/sessions?_method=DELETE").header(name, "DELETE").body("{}");
        let answer = Answer::of(request).await.assert_status(200);
        assert_eq!(answer.json["method"], "POST");
        assert!(answer.received(name).is_empty());
        let get = person.request(Method::GET, "/session/list").header(name, "POST");
        assert_eq!(Answer::of(get).await.assert_status(200).json["method"], "GET");
    }
    // HEAD and OPTIONS open no door that GET does not.
    for path in ["/memo/list", "/api/v1/admin/dashboard/stats", "/user/me"] {
        let head = Answer::of(stage.anonymous().request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.text.as_str()), (401, ""), "{path}");
        let options = Answer::of(stage.anonymous().request(Method::OPTIONS, path)).await.assert_status(204);
        assert_eq!((options.text.as_str(), options.header("x-total-count")), ("", ""), "{path}");
    }
    for name in ["HEAD", "get", "Post", "TRACE", "PROPFIND"] {
        let answer = Answer::of(person.request(Method::from_bytes(name.as_bytes()).unwrap(), "/change-password")).await;
        assert!((400..406).contains(&answer.status), "{name}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_33_nothing_is_larger_than_its_limit() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let keys = (0..100_000).map(|key| format!("\"k{key}\":1,")).collect::<Vec<_>>().concat();
    person.post("/api/v1/sessions", format!("{{{keys}\"z\":1}}")).await.assert_problem(413, "too_large");
    person.post("/api/v1/sessions", "[".repeat(100_000)).await.assert_problem(413, "too_large");
    let parameters = (0..10_000).map(|at| format!("&a{at}=1")).collect::<Vec<_>>().concat();
    person.get(&format!("/memo/list?{}", &parameters[..60_000])).await.assert_problem(414, "url_too_long");
    let (token, many) = (person.token.clone().unwrap(), "x-a: 1\r\n".repeat(200));
    for (path, upgrade) in [("/memo/list", ""), ("/ws/emotion", "connection: upgrade\r\nupgrade: websocket\r\n")] {
        let request = |extra: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{upgrade}{extra}\r\n");
        let answer = stage.raw(request(&format!("authorization: Bearer {token}\r\n{many}")).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let large = format!("connection: close\r\nx-a: {}\r\n", "a".repeat(20_000));
        let answer = stage.raw(request(&large).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("head_too_large"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_34_nothing_compressed_is_taken_in() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let encodings: &[&[&str]] = &[
        &["gzip"],
        &["GZIP"],
        &["br"],
        &["zstd"],
        &["deflate"],
        &["gzip, gzip"],
        &["identity, gzip"],
        &["identity", "gzip"],
        &["x-gzip"],
        &[""],
    ];
    for path in ["/memo", "/api/v1/sessions", "/login"] {
        for encodings in encodings {
            let request = person.request(Method::POST, path).body(vec![0x1f; 100]);
            let request = encodings.iter().fold(request, |request, value| request.header("content-encoding", *value));
            Answer::of(request).await.assert_problem(415, "unsupported_media_type");
        }
    }
    let plain = person.request(Method::POST, "/memo").header("content-encoding", "identity").body("{}");
    Answer::of(plain).await.assert_status(200);
}
