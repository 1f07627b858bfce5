//! Plays a scenario's events: puts faults in force, changes moods, reloads, and takes everything back in its time.

use std::sync::atomic::{AtomicU32, Ordering};

use emberway::simulator::faults::Fault;
use tokio::time::Instant;

use crate::proxy::Mood;
use crate::shape::{Event, Shape, What};
use crate::world::{Variation, World};

/// Plays everything; afterwards the sky is clear and the configuration the first one, but for a number.
pub(crate) async fn play(shape: &Shape, world: &World) {
    let began = Instant::now();
    let generation = AtomicU32::new(0);
    let all = shape
        .events
        .iter()
        .map(|event| happen(shape, world, event, began, &generation));
    futures_util::future::join_all(all).await;
    // Events of one account overlap, and the one that ends first must not end the other early; what is left ends here.
    world.sim.control().clear_faults();
    for proxy in &world.proxies {
        proxy.set(Mood::Clear);
    }
}

async fn happen(shape: &Shape, world: &World, event: &Event, began: Instant, generation: &AtomicU32) {
    tokio::time::sleep_until(began + event.at).await;
    let until = tokio::time::sleep_until(began + event.until);
    let next = |without| Variation {
        generation: generation.fetch_add(1, Ordering::AcqRel) + 1,
        without,
    };
    match &event.what {
        What::Fault {
            account,
            applies_to,
            probability,
            action,
        } => {
            let mut fault = Fault::new(action.clone()).on_account(&format!("a{account}"));
            (fault.applies_to, fault.probability) = (*applies_to, *probability);
            let id = world.sim.control().add_fault(fault).expect("a fault");
            until.await;
            world.sim.control().remove_fault(id).expect("it is in force");
        }
        What::Mood { account, mood } => {
            world.proxies[*account].set(*mood);
            until.await;
            world.proxies[*account].set(Mood::Clear);
        }
        What::Reload { by_signal } => {
            if *by_signal {
                world.gateway.config_watch().expect("a watch").reload();
            } else {
                world.replace_config(shape, next(None)).await;
            }
            until.await;
        }
        What::Remove { account } => {
            world.replace_config(shape, next(Some(*account))).await;
            until.await;
            world.replace_config(shape, next(None)).await;
        }
    }
}
