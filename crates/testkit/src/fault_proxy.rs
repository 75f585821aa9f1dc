//! A TCP proxy which misbehaves on command.
//!
//! A test puts it between a service and something the service depends on, and then makes the network slow, broken or
//! silent while the service runs. It needs no privilege and no kernel feature, and it runs on a thread of its own: a
//! test that blocks, or that has no tokio runtime at all, does not stop the bytes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// The most bytes taken from a socket at once.
const CHUNK: usize = 16 * 1024;

/// How many chunks may be under way in one direction of one connection, so that latency does not become a low rate.
const CHUNKS_UNDER_WAY: usize = 256;

/// What the proxy does to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: every byte passes at once.
    None,
    /// Every byte, in either direction, arrives this much later.
    Latency(Duration),
    /// Every connection is reset, open ones at once and new ones as soon as they are accepted.
    Reset,
    /// Connections are accepted and stay open, and nothing passes in either direction.
    HalfOpen,
    /// Each connection ends once this many more bytes of the upstream's answer have passed.
    CutAfter(usize),
}

/// The fault in force, numbered so that a connection notices when the same fault is set anew.
#[derive(Clone, Copy, Debug)]
struct Setting {
    fault: Fault,
    number: u64,
    /// How often resets were ordered: one that is healed at once still reaches every connection open by then.
    resets: u64,
}

type Settings = watch::Receiver<Setting>;

/// Why a connection is over before both sides have ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Both sides see the end of the stream.
    Cut,
    /// Both sides see a reset.
    Reset,
}

/// Connections seen by a proxy.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
}

/// A running proxy; it stops, and its connections close, when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    settings: Option<watch::Sender<Setting>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy before `upstream` on a free port of 127.0.0.1; at first every byte passes.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, settings) = watch::channel(Setting { fault: Fault::None, number: 0, resets: 0 });
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || runtime.block_on(accept(listener, upstream, settings, counted)))?;
        Ok(Self { addr, settings: Some(sender), counts, thread: Some(thread) })
    }

    /// Returns the address to connect to instead of the upstream's.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Delays every byte, in either direction, by `delay`; the order and the possible rate stay as they are.
    pub fn latency(&self, delay: Duration) {
        self.set(Fault::Latency(delay));
    }

    /// Resets every open connection now, and every new one as soon as it is made, as a port without a listener does.
    pub fn reset(&self) {
        self.set(Fault::Reset);
    }

    /// Lets no byte and no end of a stream pass from now on, while connections stay open and new ones are accepted.
    ///
    /// What was sent meanwhile is held, as a network that is cut in two holds it: it arrives after [`heal`](Self::heal).
    pub fn half_open(&self) {
        self.set(Fault::HalfOpen);
    }

    /// Ends each connection once `bytes` more bytes of the upstream's answer have passed.
    ///
    /// With 0 the request arrives and is carried out, and its answer is lost.
    pub fn cut_after(&self, bytes: usize) {
        self.set(Fault::CutAfter(bytes));
    }

    /// Lets every byte pass again.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Sets the fault, from the next byte on.
    pub fn set(&self, fault: Fault) {
        if let Some(settings) = &self.settings {
            settings.send_modify(|setting| {
                setting.fault = fault;
                setting.number += 1;
                setting.resets += u64::from(fault == Fault::Reset);
            });
        }
    }

    /// Returns how many connections were accepted since the start, those reset at once included.
    pub fn connections(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Returns how many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The accepting task ends when the sender is gone; joined, so that the port is free when this returns.
        drop(self.settings.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already and a second one here would hide the test's own.
            drop(thread.join());
        }
    }
}

/// Accepts connections until the proxy is dropped; its own end drops them all.
async fn accept(listener: StdListener, upstream: SocketAddr, mut settings: Settings, counts: Arc<Counts>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                counts.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(carry(client, upstream, settings.clone(), OpenCount::of(&counts)));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// Counts a connection as open as long as it lives.
struct OpenCount(Arc<Counts>);

impl OpenCount {
    fn of(counts: &Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Carries one connection to its end.
async fn carry(mut client: TcpStream, address: SocketAddr, settings: Settings, open: OpenCount) {
    let resets = settings.borrow().resets;
    let upstream = tokio::select! {
        biased;
        () = told_to_reset(settings.clone(), resets) => None,
        upstream = connect(address, settings.clone()) => upstream.ok(),
    };
    // An upstream that is not there looks to the client as it would without the proxy: as a reset.
    let Some(mut upstream) = upstream else {
        reset(&client);
        return;
    };
    let ending = tokio::select! {
        biased;
        () = told_to_reset(settings.clone(), resets) => Some(Ending::Reset),
        relayed = relay(&mut client, &mut upstream, &settings) => relayed.err(),
    };
    if ending == Some(Ending::Reset) {
        reset(&client);
        reset(&upstream);
    }
    drop((client, upstream));
    // Counted as closed only now, when the peers can see it.
    drop(open);
}

async fn connect(address: SocketAddr, mut settings: Settings) -> io::Result<TcpStream> {
    passable(&mut settings).await;
    let connected = TcpStream::connect(address).await;
    // A refusal is news from the other side too, and must wait if the network has become silent meanwhile.
    passable(&mut settings).await;
    let upstream = connected?;
    upstream.set_nodelay(true)?;
    Ok(upstream)
}

/// Has the stream send RST instead of FIN when it is dropped.
fn reset(stream: &TcpStream) {
    // Fails only for a socket that is gone already.
    let _ = stream.set_zero_linger();
}

/// Returns once a connection that is open since `resets` resets is to be reset.
async fn told_to_reset(mut settings: Settings, resets: u64) {
    if settings.wait_for(|setting| setting.fault == Fault::Reset || setting.resets != resets).await.is_err() {
        // The proxy is being dropped, and this task with it.
        std::future::pending::<()>().await;
    }
}

/// Returns once bytes may pass, with the setting they may pass under.
async fn passable(settings: &mut Settings) -> Setting {
    let seen = settings.wait_for(|setting| setting.fault != Fault::HalfOpen).await.map(|setting| *setting);
    match seen {
        Ok(setting) => setting,
        Err(_) => std::future::pending().await,
    }
}

/// Relays both directions until both have ended, or one of them ends the whole.
async fn relay(client: &mut TcpStream, upstream: &mut TcpStream, settings: &Settings) -> Result<(), Ending> {
    // Without this, Nagle's algorithm would add a latency nobody asked for.
    let _ = client.set_nodelay(true);
    let (client_reads, client_writes) = client.split();
    let (upstream_reads, upstream_writes) = upstream.split();
    tokio::try_join!(
        pump(client_reads, upstream_writes, settings, Way::Request),
        pump(upstream_reads, client_writes, settings, Way::Answer),
    )?;
    Ok(())
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

/// Bytes under way, or the end of the stream if there are none, and when they were taken from the sender.
struct Chunk {
    bytes: Bytes,
    taken: Instant,
}

/// Relays one direction; reading and writing go on side by side, so that latency delays bytes without spacing them out.
async fn pump(from: ReadHalf<'_>, to: WriteHalf<'_>, settings: &Settings, way: Way) -> Result<(), Ending> {
    let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
    tokio::try_join!(take(from, sender, settings.clone()), deliver(to, receiver, settings.clone(), way))?;
    Ok(())
}

async fn take(mut from: ReadHalf<'_>, chunks: mpsc::Sender<Chunk>, mut settings: Settings) -> Result<(), Ending> {
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        if from.read_buf(&mut buffer).await.is_err() {
            // In a silent network the peer's reset does not reach the other side either.
            passable(&mut settings).await;
            return Err(Ending::Reset);
        }
        let ended = buffer.is_empty();
        let chunk = Chunk { bytes: buffer.freeze(), taken: Instant::now() };
        if chunks.send(chunk).await.is_err() || ended {
            return Ok(());
        }
    }
}

async fn deliver(
    mut to: WriteHalf<'_>,
    mut chunks: mpsc::Receiver<Chunk>,
    mut settings: Settings,
    way: Way,
) -> Result<(), Ending> {
    let (mut counted_under, mut passed) = (0, 0_usize);
    while let Some(Chunk { mut bytes, taken }) = chunks.recv().await {
        let setting = due(&mut settings, taken).await;
        if setting.number != counted_under {
            (counted_under, passed) = (setting.number, 0);
        }
        if bytes.is_empty() {
            return to.shutdown().await.map_err(|_gone| Ending::Reset);
        }
        let cut = match setting.fault {
            Fault::CutAfter(limit) if way == Way::Answer => {
                let left = limit.saturating_sub(passed);
                bytes.truncate(left);
                passed += bytes.len();
                passed >= limit
            }
            _ => false,
        };
        to.write_all(&bytes).await.map_err(|_gone| Ending::Reset)?;
        if cut {
            let _ = to.shutdown().await;
            return Err(Ending::Cut);
        }
    }
    Ok(())
}

/// Waits until bytes taken at `taken` may arrive, and returns the setting they arrive under.
async fn due(settings: &mut Settings, taken: Instant) -> Setting {
    loop {
        let setting = passable(settings).await;
        let Fault::Latency(delay) = setting.fault else { return setting };
        tokio::select! {
            () = tokio::time::sleep_until(taken + delay) => {
                // A change just before the end of the delay counts.
                if settings.borrow().number == setting.number { return setting; }
            }
            changed = settings.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::tcp::OwnedReadHalf, time::timeout};

    use super::*;

    /// Longer than anything here takes, shorter than anyone waits.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Long enough for a byte that could arrive to arrive.
    const SILENCE: Duration = Duration::from_millis(150);

    /// An echo server; its task ends with the test's runtime.
    async fn echo(tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    let _ = tokio::io::copy(&mut reads, &mut writes).await;
                    let _ = writes.shutdown().await;
                });
            }
        });
        addr
    }

    async fn set_up() -> (FaultProxy, TcpStream, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let proxy = FaultProxy::start(echo(&mut tasks).await).unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        assert_eq!(exchange(&mut client, b"first").await.unwrap(), b"first");
        (proxy, client, tasks)
    }

    async fn exchange(client: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
        client.write_all(message).await?;
        let mut answer = vec![0; message.len()];
        timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer or an error in time")?;
        Ok(answer)
    }

    async fn is_silent(client: &mut TcpStream) -> bool {
        timeout(SILENCE, client.read_u8()).await.is_err()
    }

    /// Reads to the end, whether it is an orderly one or a reset.
    async fn read_all(reads: &mut OwnedReadHalf) -> (Vec<u8>, io::Result<usize>) {
        let mut bytes = Vec::new();
        let end = timeout(PATIENCE, reads.read_to_end(&mut bytes)).await.expect("an end in time");
        (bytes, end)
    }

    /// Waits until the proxy's own thread has seen an end.
    async fn until_none_is_open(proxy: &FaultProxy) {
        timeout(PATIENCE, async {
            while proxy.open_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("connections close in time");
    }

    #[tokio::test]
    async fn without_a_fault_every_byte_and_each_end_passes() {
        let (proxy, client, _tasks) = set_up().await;
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
        let (mut reads, mut writes) = client.into_split();
        let copy = sent.clone();
        let sending = async move {
            writes.write_all(&copy).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let ((received, end), ()) = tokio::join!(read_all(&mut reads), sending);
        assert!(end.is_ok() && received == sent);
        until_none_is_open(&proxy).await;
        assert_eq!(proxy.connections(), 1);
    }

    #[tokio::test]
    async fn latency_delays_each_direction_and_keeps_the_rate() {
        let (proxy, mut client, _tasks) = set_up().await;
        let delay = Duration::from_millis(100);
        proxy.latency(delay);
        let start = Instant::now();
        assert_eq!(exchange(&mut client, b"late").await.unwrap(), b"late");
        assert!(start.elapsed() >= delay * 2, "{:?}", start.elapsed());

        // 60 chunks: spaced out by the delay they would take six seconds each way.
        let start = Instant::now();
        let big = vec![7; 60 * CHUNK];
        let (mut reads, mut writes) = client.split();
        let mut answer = vec![0; big.len()];
        let (wrote, read) = tokio::join!(writes.write_all(&big), reads.read_exact(&mut answer));
        assert!(wrote.is_ok() && read.is_ok() && answer == big);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn healing_releases_bytes_that_wait_for_a_long_delay() {
        let (proxy, mut client, _tasks) = set_up().await;
        proxy.latency(Duration::from_mins(10));
        client.write_all(b"waiting").await.unwrap();
        assert!(is_silent(&mut client).await);
        proxy.heal();
        let mut answer = [0; 7];
        timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("released").unwrap();
        assert_eq!(&answer, b"waiting");
    }

    #[tokio::test]
    async fn reset_reaches_open_and_new_connections_until_healed() {
        let (proxy, mut client, _tasks) = set_up().await;
        proxy.reset();
        let error = timeout(PATIENCE, client.read_u8()).await.expect("a reset in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        // The reset may come while the connection is being made or just after.
        let second = async { TcpStream::connect(proxy.addr()).await?.read_u8().await };
        let error = timeout(PATIENCE, second).await.expect("a reset in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        proxy.heal();
        let mut third = TcpStream::connect(proxy.addr()).await.unwrap();
        assert_eq!(exchange(&mut third, b"healed").await.unwrap(), b"healed");
        assert_eq!(proxy.connections(), 3);

        proxy.reset();
        proxy.heal();
        let error = timeout(PATIENCE, third.read_u8()).await.expect("a reset in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn half_open_is_silent_and_delivers_after_healing() {
        let (proxy, mut client, _tasks) = set_up().await;
        proxy.half_open();
        client.write_all(b"held").await.unwrap();
        assert!(is_silent(&mut client).await, "an open connection");
        let mut second = TcpStream::connect(proxy.addr()).await.unwrap();
        second.write_all(b"held too").await.unwrap();
        assert!(is_silent(&mut second).await, "a new connection");
        assert_eq!(proxy.open_connections(), 2);

        proxy.heal();
        let mut answer = [0; 4];
        timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("delivered").unwrap();
        assert_eq!(&answer, b"held");
        let mut answer = [0; 8];
        timeout(PATIENCE, second.read_exact(&mut answer)).await.expect("delivered").unwrap();
        assert_eq!(&answer, b"held too");
    }

    #[tokio::test]
    async fn half_open_hides_that_the_other_side_is_gone() {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = FaultProxy::start(upstream.local_addr().unwrap()).unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let (server_side, _) = upstream.accept().await.unwrap();
        proxy.half_open();
        server_side.set_zero_linger().unwrap();
        drop(server_side);
        assert!(is_silent(&mut client).await);
        proxy.heal();
        let error = timeout(PATIENCE, client.read_u8()).await.expect("the reset in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn cut_after_passes_exactly_so_many_bytes_of_the_answer() {
        for limit in [0, 3, 40_000] {
            let (proxy, client, _tasks) = set_up().await;
            proxy.cut_after(limit);
            let (mut reads, mut writes) = client.into_split();
            let sent = vec![9; 50_000];
            // The cut may come before all of it is taken, and then it is a reset.
            let ((received, _), _) = tokio::join!(read_all(&mut reads), writes.write_all(&sent));
            assert_eq!(received.len(), limit);
            until_none_is_open(&proxy).await;
        }
    }

    #[tokio::test]
    async fn with_a_cut_at_nothing_the_request_arrives_and_the_answer_is_lost() {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = FaultProxy::start(upstream.local_addr().unwrap()).unwrap();
        proxy.cut_after(0);
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(b"buy").await.unwrap();
        let (mut server_side, _) = upstream.accept().await.unwrap();
        let mut request = [0; 3];
        server_side.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"buy");
        server_side.write_all(b"bought").await.unwrap();
        assert_eq!(timeout(PATIENCE, client.read(&mut [0; 8])).await.expect("an end in time").unwrap(), 0);
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_looks_reset() {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let proxy = FaultProxy::start(closed).unwrap();
        // The reset may come while the connection is still being reported as made.
        let read = async { TcpStream::connect(proxy.addr()).await?.read_u8().await };
        let error = timeout(PATIENCE, read).await.expect("a reset in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn dropping_closes_connections_and_frees_the_port() {
        let (proxy, mut client, _tasks) = set_up().await;
        let addr = proxy.addr();
        proxy.half_open();
        drop(proxy);
        assert!(!is_silent(&mut client).await);
        let refused = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn it_runs_without_a_runtime_of_the_test() {
        use std::io::{Read as _, Write as _};

        let upstream = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = FaultProxy::start(upstream.local_addr().unwrap()).unwrap();
        let mut client = std::net::TcpStream::connect(proxy.addr()).unwrap();
        let (mut server_side, _) = upstream.accept().unwrap();
        client.write_all(b"plain").unwrap();
        let mut bytes = [0; 5];
        server_side.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"plain");
    }
}
