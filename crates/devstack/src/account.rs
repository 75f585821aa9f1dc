//! The user a child runs as.
//!
//! PostgreSQL refuses to run as root. When `maru-dev` is root its children that keep data therefore run as a system
//! user; otherwise they run as the person who started it.

use std::{fs, os::unix::fs::chown, path::Path};

use crate::fault::Fault;

/// A user from the password file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
}

impl Account {
    /// The account that children of root give up their rights to: the first of `names` that exists. `None` when this
    /// process is not root and children simply run as its own user.
    pub(crate) fn for_children(names: &[&str]) -> Result<Option<Self>, Fault> {
        if !is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(|error| Fault::io("read /etc/passwd", &error))?;
        names.iter().find_map(|name| find(&passwd, name)).map(Some).ok_or_else(|| {
            Fault::new(
                format!("PostgreSQL refuses to run as root and none of the users {} exists", names.join(", ")),
                "create one (`useradd --system postgres`) or run this as an ordinary user",
            )
        })
    }
}

/// Whether this process has root's rights.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file or directory to the account; nothing to do when there is none.
pub(crate) fn give(path: &Path, account: Option<Account>) -> Result<(), Fault> {
    let Some(account) = account else { return Ok(()) };
    chown(path, Some(account.uid), Some(account.gid))
        .map_err(|error| Fault::io(format!("change the owner of {}", path.display()), &error))
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let _password = fields.next()?;
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:9:9::/:/bin/sh\npostgres:x:101:104:pg:/var:/bin/sh\n";
        assert_eq!(find(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "redis"), None);
    }
}
