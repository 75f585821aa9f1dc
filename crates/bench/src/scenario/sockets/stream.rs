//! The Redis stream in which replicas of the ticketing service read what became known.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::trouble::Trouble;

/// The stream, below the prefix of every deployment that sets none.
const KEY: &str = "maru:ticketing:notices";
/// The field of an entry that holds the notice as JSON.
const FIELD: &str = "notice";
/// How many entries the service itself keeps, about.
const KEPT: &str = "20000";

/// A connection that appends.
#[derive(Debug)]
pub(super) struct Stream(TcpStream);

impl Stream {
    /// Connects.
    pub(super) async fn open(redis_url: &str) -> Result<Self, Trouble> {
        let address = redis_url.trim_start_matches("redis://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Appends entries in one write, as the service's relay does.
    pub(super) async fn append(&mut self, texts: &[String]) -> Result<(), Trouble> {
        let commands: String =
            texts.iter().map(|text| command(&["XADD", KEY, "MAXLEN", "~", KEPT, "*", FIELD, text])).collect();
        self.0.write_all(commands.as_bytes()).await?;
        // Each answer is an id of two lines; an error has one.
        let (mut answers, mut lines) = (Vec::new(), 0);
        while lines < texts.len() * 2 {
            if self.0.read_buf(&mut answers).await? == 0 {
                return Err(Trouble::Broken("Redis ended the connection".to_owned()));
            }
            if answers.starts_with(b"-") {
                let said = String::from_utf8_lossy(&answers).into_owned();
                return Err(Trouble::Broken(format!("Redis refuses a notice: {said}")));
            }
            lines = answers.split(|byte| *byte == b'\n').count() - 1;
        }
        Ok(())
    }
}

/// Writes a command in Redis' own form.
fn command(words: &[&str]) -> String {
    let written: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), written.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_how_many_words_it_has_and_how_long_they_are() {
        assert_eq!(command(&["DEL", "가"]), "*2\r\n$3\r\nDEL\r\n$3\r\n가\r\n");
        assert_eq!(command(&["SET", "a$"]), "*2\r\n$3\r\nSET\r\n$2\r\na$\r\n");
    }
}
