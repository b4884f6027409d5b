//! `break-lock`: removes all locks of a repository by force.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};

use cloudstic_proto::v1::{BreakLocksRequest, BreakLocksResponse, Lock};

use super::lock;
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::BreakLock) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    if !args.yes && std::io::stdin().is_terminal() {
        let alive: Vec<_> =
            lock::all(&daemon, &args.repository).await?.into_iter().filter(|lock| lock.stale.is_empty()).collect();
        if !alive.is_empty() && !confirmed(&question(&alive), &mut std::io::stdin().lock())? {
            return Err(Error::Arguments("nothing was removed".to_owned()));
        }
    }
    let request = BreakLocksRequest { repository: args.repository.clone() };
    let response = daemon.locks().r#break(request).await?.into_inner();
    if out.json {
        out.document(&json::BrokenLocks::new(&args.repository, &response))?;
    } else {
        out.text(told(&response))?;
    }
    Ok(Exit::Success)
}

fn question(alive: &[Lock]) -> String {
    let mut text = String::from("These holders look alive; what they do may be lost to others:\n");
    for lock in alive {
        let _ = writeln!(text, "  {} by {}", lock::or_nothing(&lock.operation), lock::holder(lock));
    }
    text + "Remove their locks? [y/N]"
}

fn confirmed(question: &str, answers: &mut impl BufRead) -> Result<bool, Error> {
    let asked = |source| Error::System { action: "ask for confirmation", source };
    let mut stderr = std::io::stderr().lock();
    let safe = question.lines().map(crate::output::escape::text).collect::<Vec<_>>().join("\n");
    write!(stderr, "{safe} ").and_then(|()| stderr.flush()).map_err(asked)?;
    let mut answer = String::new();
    answers.read_line(&mut answer).map_err(asked)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn told(response: &BreakLocksResponse) -> String {
    let mut text = String::new();
    for removed in &response.removed {
        let fields = [
            ("operation", removed.operation.as_str()),
            ("holder", &removed.holder),
            ("acquired", &removed.acquired_at),
            ("expired at", &removed.expires_at),
        ];
        let _ = write!(text, "removed {}:", crate::output::escape::text(&removed.key));
        for (name, value) in fields {
            let _ = write!(text, " {name}: {},", crate::output::escape::text(&lock::or_nothing(value)));
        }
        let _ = writeln!(text, " shared: {}", if removed.shared { "yes" } else { "no" });
    }
    for job in &response.cancelled_jobs {
        let _ = writeln!(text, "cancelled job {job}, which held one of them");
    }
    if response.removed.is_empty() {
        text.push_str("No lock found: the repository is not locked.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("no\n", false), ("yep\n", false)]
        {
            assert_eq!(confirmed("?", &mut answer.as_bytes()).unwrap(), yes, "{answer:?}");
        }
    }

    #[test]
    fn each_removed_lock_is_told_whole() {
        assert_eq!(told(&BreakLocksResponse::default()), "No lock found: the repository is not locked.\n");
        let lock = Lock {
            key: "index/lock.exclusive".into(),
            operation: "prune".into(),
            holder: "vm (pid 7)".into(),
            acquired_at: "2026-11-21T03:57:55Z".into(),
            expires_at: "2026-11-21T03:58:55Z".into(),
            ..Lock::default()
        };
        let unreadable = Lock { key: "index/lock.shared/x".into(), shared: true, ..Lock::default() };
        let response = BreakLocksResponse { removed: vec![lock, unreadable], cancelled_jobs: vec!["a1".into()] };
        assert_eq!(
            told(&response),
            "removed index/lock.exclusive: operation: prune, holder: vm (pid 7), acquired: 2026-11-21T03:57:55Z, \
             expired at: 2026-11-21T03:58:55Z, shared: no\n\
             removed index/lock.shared/x: operation: -, holder: -, acquired: -, expired at: -, shared: yes\n\
             cancelled job a1, which held one of them\n"
        );
    }
}
