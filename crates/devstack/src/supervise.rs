//! Children: started, watched, restarted, stopped.
//!
//! The [`Household`] owns every child that outlives a single step. Each child has one task that starts it, copies its
//! output, starts it again when it dies, and ends it when its stage is over. Stages end one after the other, so that
//! nothing loses what it stands on: the gateway first, the services, Redis, PostgreSQL last.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use process_wrap::tokio::{CommandWrap, CommandWrapper, ProcessSession};
use tokio::{
    process::{Child, Command},
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    fault::Fault,
    log_file::{LogFile, lines_of},
    process::{Identity, Stop},
    program::{Program, Stage},
    run_directory::RunDirectory,
    tasks,
    terminal::Terminal,
};

/// The pause before the first restart; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A child that ran this long was well: the next pause is the first one again.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// How long a child may take to end when asked. The services drain for at most 0.5 s plus their open requests.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take when pressed.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take when nobody wants to wait: PostgreSQL still removes its shared memory.
const NO_PATIENCE: Duration = Duration::from_millis(500);

/// How long the output of an ended child may still flow: a grandchild may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// All stages in the order of the end.
const STAGES: [Stage; 4] = [Stage::Gateway, Stage::Services, Stage::Redis, Stage::Postgres];

/// How a child is at this moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Its process, while it has one.
    pub(crate) pid: Option<u32>,
    /// How often it ended by itself.
    pub(crate) ends: u32,
    /// How it ended the last time.
    pub(crate) last_end: String,
}

/// A child as its starter sees it. Dropping this does not end the child: the [`Household`] owns it.
#[derive(Clone)]
pub(crate) struct Watched {
    /// Its name.
    pub(crate) name: String,
    condition: watch::Receiver<Condition>,
    log: LogFile,
}

impl Watched {
    /// Its process, while it has one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.condition.borrow().pid
    }

    /// A fault when the child has ended although it had just been started.
    pub(crate) fn check(&self, mend: &str) -> Result<(), Fault> {
        let condition = self.condition.borrow();
        if condition.ends == 0 {
            return Ok(());
        }
        let what = format!("{} {} before it was ready", self.name, condition.last_end);
        Err(Fault::new(what, mend).with_evidence(self.log.recent()))
    }

    /// The last lines it wrote.
    pub(crate) fn recent_lines(&self) -> Vec<String> {
        self.log.recent()
    }
}

/// All children of a run.
#[derive(Clone)]
pub(crate) struct Household {
    inner: Arc<Inner>,
}

struct Inner {
    records: RunDirectory,
    terminal: Terminal,
    logs: PathBuf,
    /// Whether the children's lines are copied to the terminal too.
    echo: AtomicBool,
    /// Whether an ended child is an event worth a line; before the stack is ready it is a fault of the start.
    announce: AtomicBool,
    kill: CancellationToken,
    changed: Notify,
    children: Mutex<Vec<Owned>>,
}

struct Owned {
    name: String,
    stage: Stage,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Household {
    /// An empty household; `kill` ends every child without patience.
    pub(crate) fn new(records: RunDirectory, terminal: &Terminal, logs: PathBuf, kill: CancellationToken) -> Self {
        let inner = Inner {
            records,
            terminal: terminal.clone(),
            logs,
            echo: AtomicBool::new(false),
            announce: AtomicBool::new(false),
            kill,
            changed: Notify::new(),
            children: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts a program and keeps it running.
    pub(crate) fn keep(&self, program: Program) -> Result<Watched, Fault> {
        let log = LogFile::open(&self.inner.logs, &program.name)?;
        let (report, condition) = watch::channel(Condition::default());
        let watched = Watched { name: program.name.clone(), condition, log: log.clone() };
        let (name, stage) = (program.name.clone(), program.stage);
        let end = CancellationToken::new();
        let keeper = Keeper { program, log, report, end: end.clone(), household: Arc::clone(&self.inner) };
        let task = tasks::spawn(keeper.run());
        self.children().push(Owned { name, stage, end, task });
        Ok(watched)
    }

    /// Ends one child and forgets it.
    pub(crate) async fn dismiss(&self, name: &str) {
        let dismissed: Vec<Owned> = self.children().extract_if(.., |child| child.name == name).collect();
        end_all(dismissed).await;
    }

    /// Records a process that somebody else waits for, so that it too is ended after a crash of this one.
    pub(crate) fn note(&self, name: &str, pid: Option<u32>, stop: Stop) -> Result<(), Fault> {
        match pid.and_then(Identity::of) {
            Some(identity) => self.inner.records.started(name, identity, stop),
            None => Ok(()),
        }
    }

    /// Records a directory to delete at the end.
    pub(crate) fn throw_away(&self, directory: &Path) -> Result<(), Fault> {
        self.inner.records.throw_away(directory)
    }

    /// From now on a child that ends is said to be restarted, and with `echo` its lines are shown.
    pub(crate) fn announce(&self, echo: bool) {
        self.inner.announce.store(true, Ordering::Relaxed);
        self.inner.echo.store(echo, Ordering::Relaxed);
    }

    /// Waits until some child got another process.
    pub(crate) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Ends everybody, stage after stage, and closes the records.
    pub(crate) async fn end(&self) -> Result<(), Fault> {
        self.inner.announce.store(false, Ordering::Relaxed);
        for stage in STAGES {
            let leaving: Vec<Owned> = self.children().extract_if(.., |child| child.stage == stage).collect();
            end_all(leaving).await;
        }
        self.inner.records.close()
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Owned>> {
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end_all(children: Vec<Owned>) {
    for child in &children {
        child.end.cancel();
    }
    for child in children {
        let _ = child.task.await;
    }
}

/// The task of one child.
struct Keeper {
    program: Program,
    log: LogFile,
    report: watch::Sender<Condition>,
    end: CancellationToken,
    household: Arc<Inner>,
}

impl Keeper {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            self.log.forget_recent();
            let last_end = match self.start() {
                Ok(mut child) => match self.attend(&mut child).await {
                    Some(status) => describe(status),
                    None => return,
                },
                Err(fault) => format!("could not be started ({})", fault.what()),
            };
            if begun.elapsed() >= WELL_AFTER {
                pause = FIRST_PAUSE;
            }
            self.tell(&last_end, pause);
            self.report.send_modify(|condition| {
                *condition = Condition { pid: None, ends: condition.ends.saturating_add(1), last_end };
            });
            if self.end.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn start(&self) -> Result<Child, Fault> {
        let program = &self.program;
        let mut command = Command::new(&program.executable);
        command.args(&program.arguments).current_dir(&program.directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        if let Some(account) = program.account {
            command.uid(account.uid).gid(account.gid);
        }
        program.environment.apply(&mut command);
        let spawned = in_its_own_session(&mut command).and_then(|()| command.spawn());
        let child = spawned.map_err(|error| Fault::io(format!("run {}", program.executable.display()), &error))?;
        let pid = child.id();
        if let Some(identity) = pid.and_then(Identity::of) {
            self.household.records.started(&program.name, identity, program.stop)?;
        }
        self.report.send_modify(|condition| condition.pid = pid);
        self.household.changed.notify_one();
        Ok(child)
    }

    /// Copies the child's output until it ends by itself (its status) or its stage is over (`None`).
    async fn attend(&self, child: &mut Child) -> Option<ExitStatus> {
        let copy = lines_of(child, |line| self.copy(line));
        let live = async {
            let status = tokio::select! {
                status = child.wait() => status.ok(),
                () = self.end.cancelled() => {
                    self.conclude(child).await;
                    None
                }
            };
            self.household.records.ended(&self.program.name);
            status
        };
        let (mut copy, mut live) = (std::pin::pin!(copy), std::pin::pin!(live));
        tokio::select! {
            () = &mut copy => live.await,
            status = &mut live => {
                let _ = tokio::time::timeout(LAST_WORDS, copy).await;
                status
            }
        }
    }

    fn copy(&self, line: &str) {
        self.log.write(line);
        let shown = matches!(self.program.stage, Stage::Gateway | Stage::Services);
        if shown && self.household.echo.load(Ordering::Relaxed) {
            self.household.terminal.child_line(&self.program.name, line);
        }
    }

    /// Ends the child: asks, presses, kills. It is not waited for before, so its id cannot belong to anybody else.
    async fn conclude(&self, child: &mut Child) {
        let stop = self.program.stop;
        let Some(identity) = child.id().and_then(Identity::of) else {
            let _ = child.wait().await;
            return;
        };
        let orderly = async {
            identity.ask(stop);
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_ok() {
                return;
            }
            identity.press(stop);
            let _ = tokio::time::timeout(SHORT_PATIENCE, child.wait()).await;
        };
        if self.household.kill.run_until_cancelled(orderly).await.is_none() {
            identity.press(stop);
            let _ = tokio::time::timeout(NO_PATIENCE, child.wait()).await;
        }
        // Signals nobody when it has ended by now.
        identity.kill(stop);
        let _ = child.wait().await;
    }

    fn tell(&self, last_end: &str, pause: Duration) {
        if self.household.announce.load(Ordering::Relaxed) {
            let (name, pause) = (&self.program.name, pause.as_millis());
            self.household.terminal.notice(format!("{name} {last_end}; starting it again in {pause} ms"));
        }
    }
}

/// How a process ended, as the second half of a sentence.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Has a child begin a session: Ctrl-C in the terminal reaches maru-dev only, which then ends its children in order. And
/// Linux shares the cores among sessions first, as it does among containers, and among the processes of one only then: two
/// hashes that a login storm keeps running in one service slow the others down less.
fn in_its_own_session(command: &mut Command) -> io::Result<()> {
    // Only what it does to the command: what it would wrap the child in waits for the child's children too.
    let unwrapped = CommandWrap::with_new("", |_command| {});
    ProcessSession.pre_spawn(command, &unwrapped)
}
