//! Makes pages in threads of their own, which give way to all other work while a run is being made here.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use super::desk::Desk;
use crate::give_way;

/// Pages that are made at one time; others wait.
const AT_ONCE: usize = 2;

/// The desk, and room for those who work at it.
pub(super) struct Maker {
    desk: Arc<Desk>,
    places: Semaphore,
}

impl Maker {
    /// At this desk.
    pub(super) fn of(desk: Desk) -> Self {
        Self { desk: Arc::new(desk), places: Semaphore::new(AT_ONCE) }
    }

    /// What `make` makes of the desk; none where it ended without a result.
    ///
    /// A thread that has given way cannot take that back without privilege, so each page has one of its own.
    pub(super) async fn make<T: Send + 'static>(&self, make: impl FnOnce(&Desk) -> T + Send + 'static) -> Option<T> {
        let _place = self.places.acquire().await.ok()?;
        let (done, made) = oneshot::channel();
        let desk = Arc::clone(&self.desk);
        let work = move || {
            if desk.is_measured_here() {
                give_way::to_all();
            }
            // Who asked may be gone.
            let _ = done.send(make(&desk));
        };
        std::thread::Builder::new().name("page".to_owned()).spawn(work).ok()?;
        made.await.ok()
    }
}
