//! What a sidecar is told on its standard input while it runs, and does before it says so in its counters.

use std::cell::RefCell;
use std::sync::Arc;

use record::Weights;
use tokio::sync::oneshot;

use super::config::SidecarConfig;
use super::keys::Keys;
use super::stats::Told;
use super::worker::Order;
use crate::complaints::Complaints;
use crate::lifeline::Held;
use crate::workers::Workers;

/// What was told, and what came of it.
#[derive(Default)]
pub(super) struct State {
    pub(super) told: Told,
    pub(super) serial: Option<String>,
}

/// Does what each line says, until there is no more.
pub(super) async fn heed(
    held: &mut Held,
    config: &SidecarConfig,
    workers: &Workers<Order>,
    state: &RefCell<State>,
    complaints: &Complaints,
) {
    while let Some(line) = held.line().await {
        let done = match line.split_once(' ') {
            Some(("weights", weights)) => weigh(weights, config, workers).await,
            None if line == "renew" => renew(config, workers, state).await,
            _ => Err("it is neither 'weights v1=90,v2=10' nor 'renew'".to_owned()),
        };
        let told = &mut state.borrow_mut().told;
        match done {
            Ok(()) => told.done += 1,
            Err(why) => {
                let refusal = format!("'{line}': {why}");
                complaints.write(format_args!("told {refusal}"));
                told.refused += 1;
                told.last_refusal = Some(refusal);
            }
        }
    }
}

/// Splits the requests to the callee that has these subsets.
async fn weigh(text: &str, config: &SidecarConfig, workers: &Workers<Order>) -> Result<(), String> {
    let weights: Weights = text.parse()?;
    let callees = || config.outbound.iter().flat_map(|out| &out.callees);
    let has = |name: &str, subsets: &[super::SubsetConfig]| subsets.iter().any(|subset| subset.name == name);
    let named = |subsets: &[super::SubsetConfig]| {
        subsets.len() == weights.subsets().len() && weights.subsets().iter().all(|(name, _)| has(name, subsets))
    };
    let place = callees().position(|callee| named(&callee.subsets)).ok_or("no callee has these subsets")?;
    let of = |subset: &super::SubsetConfig| weights.subsets().iter().find(|(name, _)| *name == subset.name);
    let subsets = callees().nth(place).map(|callee| callee.subsets.as_slice()).unwrap_or_default();
    let weights: Arc<[u32]> = subsets.iter().map(|subset| of(subset).map_or(0, |(_, weight)| *weight)).collect();
    all(workers, |done| Order::Weigh(place, Arc::clone(&weights), done)).await
}

/// Takes up the files of its identity, which were replaced.
async fn renew(config: &SidecarConfig, workers: &Workers<Order>, state: &RefCell<State>) -> Result<(), String> {
    let keys = Arc::new(Keys::read(config).map_err(|e| e.to_string())?);
    all(workers, |done| Order::Renew(Arc::clone(&keys), done)).await?;
    state.borrow_mut().serial.clone_from(&keys.serial);
    Ok(())
}

/// Tells every worker, and waits until each has done it.
async fn all(workers: &Workers<Order>, order: impl Fn(oneshot::Sender<()>) -> Order) -> Result<(), String> {
    let gone = || "a worker has ended".to_owned();
    let mut answers = Vec::new();
    let told = workers.tell_all(|| {
        let (done, answer) = oneshot::channel();
        answers.push(answer);
        order(done)
    });
    if !told {
        return Err(gone());
    }
    for answer in answers {
        answer.await.map_err(|_| gone())?;
    }
    Ok(())
}
