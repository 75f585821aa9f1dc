use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::*;

/// Long enough for an answer that could arrive to arrive.
const SILENCE: Duration = Duration::from_millis(150);

/// A client that says line after line.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &MailServer) -> Self {
        Self(BufReader::new(TcpStream::connect(server.addr()).await.unwrap()))
    }

    async fn greeted(server: &MailServer) -> Self {
        let mut client = Self::connect(server).await;
        assert!(client.answer().await.starts_with("220 "));
        assert!(client.say("EHLO test").await.starts_with("250-"));
        client
    }

    /// Sends a line and returns the answer's lines.
    async fn say(&mut self, line: &str) -> String {
        self.send(line).await;
        self.answer().await
    }

    async fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self) -> String {
        let mut lines = String::new();
        loop {
            let start = lines.len();
            self.0.read_line(&mut lines).await.unwrap();
            if lines.get(start + 3..=start + 3) != Some("-") {
                return lines;
            }
        }
    }

    async fn mail(&mut self, to: &[&str], data: &str) -> String {
        assert!(self.say("MAIL FROM:<maru@example.com> BODY=8BITMIME").await.starts_with("250"));
        for to in to {
            assert!(self.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"));
        }
        assert!(self.say("DATA").await.starts_with("354"));
        self.say(&format!("{data}\r\n.")).await
    }
}

/// Bytes as quoted-printable, wrapped as it must be.
fn quoted(text: &str) -> String {
    text.as_bytes()
        .chunks(20)
        .map(|line| {
            line.iter().fold(String::new(), |mut line, byte| {
                write!(line, "={byte:02X}").unwrap();
                line
            })
        })
        .collect::<Vec<_>>()
        .join("=\r\n")
}

#[tokio::test]
async fn a_message_is_kept_as_it_came_and_shown_as_it_was_meant() {
    let server = MailServer::start();
    let mut client = Client::greeted(&server).await;
    let subject = STANDARD.encode("마루 인증 코드");
    let body = quoted("안녕하세요, 코드는 7K2M9QXA 입니다.");
    let data = format!(
        "Subject: =?utf-8?B?{subject}?=\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{body}"
    );
    assert!(client.mail(&["Kim@example.com", "lee@example.com"], &data).await.starts_with("250"));
    let mail = server.wait_for("kim@EXAMPLE.com").await;
    assert_eq!((mail.from.as_str(), mail.to.len()), ("maru@example.com", 2));
    assert_eq!(mail.data, format!("{data}\r\n").as_bytes());
    assert_eq!(mail.subject(), "마루 인증 코드");
    assert_eq!(mail.text().trim_end(), "안녕하세요, 코드는 7K2M9QXA 입니다.");
    assert!(client.say("QUIT").await.starts_with("221"));
}

#[tokio::test]
async fn both_halves_of_a_mail_in_two_forms_are_found() {
    let server = MailServer::start();
    let mut client = Client::greeted(&server).await;
    let (plain, html) = (STANDARD.encode("한 줄\r\n두 줄"), quoted("<p>한글</p>"));
    let data = format!(
        "Subject: plain\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{plain}\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{html}\r\n\
         --b--"
    );
    client.mail(&["kim@example.com"], &data).await;
    let mail = server.wait_for("kim@example.com").await;
    assert_eq!((mail.text().as_str(), mail.html().trim_end()), ("한 줄\n두 줄", "<p>한글</p>"));
    assert_eq!((mail.header("subject").as_str(), mail.header("x-missing").as_str()), ("plain", ""));
}

#[tokio::test]
async fn dots_of_the_transport_are_taken_away_again() {
    let server = MailServer::start();
    let mut client = Client::greeted(&server).await;
    client.mail(&["kim@example.com"], "Subject: dots\r\n\r\n..\r\n...and\r\n. \r\nend").await;
    assert_eq!(server.wait_for("kim@example.com").await.data, b"Subject: dots\r\n\r\n.\r\n..and\r\n \r\nend\r\n");
}

#[tokio::test]
async fn each_mail_is_handed_out_once_and_all_stay_to_be_seen() {
    let server = MailServer::start();
    let mut client = Client::greeted(&server).await;
    for number in ["1", "2"] {
        client.mail(&["kim@example.com"], &format!("Subject: {number}\r\n\r\n{number}")).await;
    }
    assert_eq!(server.wait_for("kim@example.com").await.subject(), "1");
    assert_eq!(server.wait_for("kim@example.com").await.subject(), "2");
    assert_eq!((server.mails().len(), server.offered()), (2, 2));
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let server = MailServer::start();
    let mut client = Client::connect(&server).await;
    client.answer().await;
    for (line, status) in [
        ("MAIL FROM:<a@example.com>", "503"),
        ("HELO test", "250"),
        ("RCPT TO:<b@example.com>", "503"),
        ("MAIL a@example.com", "501"),
        ("mail from:<a@example.com>", "250"),
        ("DATA", "503"),
        ("RCPT TO:<>", "501"),
        ("rcpt to:<b@example.com>", "250"),
        ("RSET", "250"),
        ("DATA", "503"),
        ("NOOP", "250"),
        ("STARTTLS", "502"),
    ] {
        let answer = client.say(line).await;
        assert!(answer.starts_with(status), "{line}: {answer}");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn the_next_messages_are_refused_on_command() {
    let server = MailServer::start();
    let mut client = Client::greeted(&server).await;
    server.refuse_next(2, 451);
    for status in ["451", "451", "250"] {
        let answer = client.mail(&["kim@example.com"], "Subject: again\r\n\r\n").await;
        assert!(answer.starts_with(status), "{answer}");
    }
    assert_eq!((server.mails().len(), server.offered()), (1, 3));
}

#[tokio::test]
async fn a_server_that_hangs_answers_when_it_speaks_again() {
    let server = MailServer::start();
    let mut open = Client::greeted(&server).await;
    server.hang();
    let mut late = Client::connect(&server).await;
    open.send("NOOP").await;
    assert!(timeout(SILENCE, open.answer()).await.is_err());
    assert!(timeout(SILENCE, late.answer()).await.is_err());
    server.speak();
    assert!(open.answer().await.starts_with("250"));
    assert!(late.answer().await.starts_with("220"));
}
