//! As much of Redis' protocol as a scenario needs: commands as lists of texts, answers as they come.

use std::{collections::BTreeMap, fmt::Write as _};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};

use crate::trouble::Trouble;

/// A connection.
pub(crate) struct Redis(BufStream<TcpStream>);

impl Redis {
    pub(crate) async fn connect(port: u16) -> Result<Self, Trouble> {
        let stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufStream::new(stream)))
    }

    /// Sends a command; returns its answer when it is a text or a number, and the first text of a list.
    pub(crate) async fn run(&mut self, command: &[&str]) -> Result<String, Trouble> {
        let mut sent = format!("*{}\r\n", command.len());
        for part in command {
            let _ = write!(sent, "${}\r\n{part}\r\n", part.len());
        }
        self.0.write_all(sent.as_bytes()).await?;
        self.0.flush().await?;
        let (mut left, mut first) = (1_usize, None);
        while left > 0 {
            left -= 1;
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(Trouble::Broken("Redis closed the connection".to_owned()));
            }
            let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
            let rest = rest.trim_end();
            match kind {
                "-" => return Err(Trouble::Broken(format!("Redis: {rest}"))),
                "*" => left += rest.parse::<usize>().unwrap_or_default(),
                "$" => {
                    // A missing value says -1, and has no line of its own.
                    if let Ok(length) = rest.parse::<usize>() {
                        let mut text = vec![0; length + 2];
                        self.0.read_exact(&mut text).await?;
                        text.truncate(length);
                        first.get_or_insert_with(|| String::from_utf8_lossy(&text).into_owned());
                    }
                }
                _ => _ = first.get_or_insert_with(|| rest.to_owned()),
            }
        }
        Ok(first.unwrap_or_default())
    }

    /// Returns how often each command was called so far, also by scripts.
    pub(crate) async fn calls(&mut self) -> Result<BTreeMap<String, u64>, Trouble> {
        Ok(parse_calls(&self.run(&["INFO", "commandstats"]).await?))
    }
}

fn parse_calls(info: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, figures) = line.trim().strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = figures.split(',').find_map(|figure| figure.strip_prefix("calls="))?;
        Some((name.to_owned(), calls.parse().ok()?))
    };
    info.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_commands() {
        let info = "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=90,usec_per_call=7.50\r\ncmdstat_config|get:calls=3,usec=1\r\n";
        let calls = parse_calls(info);
        assert_eq!((calls["evalsha"], calls["config|get"], calls.len()), (12, 3, 2));
    }
}
