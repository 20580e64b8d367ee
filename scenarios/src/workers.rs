//! Worker threads, each with a runtime of its own, between which connections are dealt out in turn.
//!
//! A connection stays on one worker for its life, as it does in Envoy: what it needs (the pool to the next hop, the
//! counters) belongs to that worker, nothing is shared, and no thread wakes another. Dealing in turn instead of
//! letting the kernel hash connections to threads keeps the same share of the load on every worker in every trial.

use std::cell::Cell;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{Error, Result};

/// How long a worker that is told to end waits for the answers it still owes.
const DRAIN: Duration = Duration::from_secs(1);

/// What a worker does.
pub(crate) trait Worker: 'static {
    /// What it is told: above all, a connection to serve.
    type Order: Send + 'static;

    /// Does what it is told, in tasks of this thread.
    fn take(self: &Rc<Self>, order: Self::Order);

    /// Requests it has taken and not yet answered.
    fn owed(&self) -> usize;
}

/// The worker threads of one part.
pub(crate) struct Workers<O> {
    part: String,
    orders: Vec<UnboundedSender<O>>,
    threads: Vec<JoinHandle<()>>,
    turn: Cell<usize>,
}

impl<O: Send + 'static> Workers<O> {
    /// Starts threads named `PREFIX:0`, `PREFIX:1`, ...; each makes its worker itself, since a worker never leaves
    /// its thread.
    pub(crate) fn start<W, F>(part: &str, prefix: &str, make: Vec<F>) -> Result<Self>
    where
        W: Worker<Order = O>,
        F: FnOnce() -> W + Send + 'static,
    {
        let mut workers = Self { part: part.to_owned(), orders: vec![], threads: vec![], turn: Cell::new(0) };
        for (i, make) in make.into_iter().enumerate() {
            let fail = |source| Error::Thread { part: part.to_owned(), what: "cannot start a worker".into(), source };
            let (sender, receiver) = unbounded_channel();
            let (tell, told) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::Builder::new()
                .name(format!("{prefix}:{i}"))
                .spawn(move || match runtime() {
                    Ok(runtime) => {
                        let _ = tell.send(Ok(()));
                        runtime.block_on(work(make, receiver));
                    }
                    Err(error) => {
                        let _ = tell.send(Err(error));
                    }
                })
                .map_err(fail)?;
            told.recv().unwrap_or_else(|_| Err(std::io::Error::other("it ended at once"))).map_err(fail)?;
            workers.orders.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Gives an order to the worker whose turn it is; false when that worker is gone.
    pub(crate) fn deal(&self, order: O) -> bool {
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.orders.len().max(1));
        self.orders.get(turn).is_some_and(|worker| worker.send(order).is_ok())
    }

    /// Gives every worker an order of its own.
    pub(crate) fn tell_all(&self, mut order: impl FnMut() -> O) -> bool {
        self.orders.iter().all(|worker| worker.send(order()).is_ok())
    }

    /// Lets the workers answer what they owe, and ends them.
    ///
    /// # Errors
    /// When a worker had ended by itself.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.orders);
        let mut ended = Ok(());
        for thread in self.threads {
            if thread.join().is_err() {
                let source = std::io::Error::other("it panicked; the message is above");
                ended = Err(Error::Thread { part: self.part.clone(), what: "a worker ended".into(), source });
            }
        }
        ended
    }
}

/// A runtime that lives on one thread and may hold what cannot leave it.
pub(crate) fn runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

async fn work<W: Worker>(make: impl FnOnce() -> W, mut orders: UnboundedReceiver<W::Order>) {
    let worker = Rc::new(make());
    while let Some(order) = orders.recv().await {
        worker.take(order);
    }
    let end = Instant::now() + DRAIN;
    while worker.owed() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The last answer was given to its connection; one turn more lets the connection write it.
    tokio::time::sleep(Duration::from_millis(2)).await;
}
