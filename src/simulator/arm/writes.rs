//! What writes do: create or replace, update, delete, pause, resume. Each is accepted or refused at once; the work takes its time.

use serde_json::Value;

use crate::simulator::arm::bill::{End, Tally};
use crate::simulator::arm::checks::Callers;
use crate::simulator::arm::entry::{Entry, Phase, Properties};
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::operation::{Kind, Operation, Status};
use crate::simulator::arm::plane::{Plane, State};
use crate::simulator::arm::settings::Conflicts;
use crate::simulator::arm::time;
use crate::simulator::arm::wanted::{Change, Wanted};
use crate::simulator::chance::draw;
use crate::simulator::scenario::Sku;

/// A write that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Its operation; none where there was nothing to do.
    pub operation: Option<Operation>,
    /// Whether it makes something that was not there.
    pub is_new: bool,
    /// The resource as it is now; none after a delete.
    pub resource: Option<Value>,
}

/// Where a write goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Index of the account.
    pub account: usize,
    /// Name of the deployment.
    pub name: &'a str,
    /// Whether the version of the request shows pauses.
    pub pauses: bool,
    /// Now.
    pub now_ms: u64,
}

/// Longest name of a deployment.
const MAX_NAME_BYTES: usize = 64;

impl Plane {
    /// Creates or replaces a deployment.
    ///
    /// # Errors
    /// When it is refused.
    pub fn put(&self, place: Place<'_>, wanted: &Wanted, callers: &Callers) -> Result<Taken, ArmError> {
        let Place {
            account, name, now_ms, ..
        } = place;
        check_name(name)?;
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        let mut clash = self.clash(&state, account)?;
        let properties = self.allowed(account, wanted, callers, now_ms)?;
        let key = name.to_ascii_lowercase();
        check_spillover(&state, account, &properties)?;
        self.check_room(&state, account, &key, &properties)?;
        let by = self.principal(&callers.primary).client_id.clone();
        if clash.is_none() {
            clash = self.faults.take_failing();
        }
        let failed = state.entries[account]
            .get(&key)
            .is_some_and(|entry| entry.phase == Phase::Failed);
        if failed {
            // What could not be made is made anew.
            self.remove(&mut state, account, &key, now_ms, End::Request);
        }
        let is_new = !state.entries[account].contains_key(&key);
        let kind = if is_new { Kind::Create } else { Kind::Update };
        if is_new {
            let entry = self.entry(name, properties, &by, now_ms);
            state.entries[account].insert(key.clone(), entry);
        } else if clash.is_none() {
            begin_update(&mut state, place, properties, &by);
        }
        Ok(self.begin(&mut state, place, &key, kind, clash))
    }

    /// Changes kind, capacity or tags.
    ///
    /// # Errors
    /// When it is refused.
    pub fn patch(&self, place: Place<'_>, change: &Change, callers: &Callers) -> Result<Taken, ArmError> {
        let Place {
            account, name, now_ms, ..
        } = place;
        let key = name.to_ascii_lowercase();
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        let is = self.present(&state, place)?.desired.clone();
        let mut clash = self.clash(&state, account)?;
        let sku = change.sku.unwrap_or(is.sku);
        let mut changed = self.allowed_change(account, &is, sku, change.capacity.unwrap_or(is.capacity))?;
        if let Some(tags) = &change.tags {
            changed.tags.clone_from(tags);
        }
        self.check_room(&state, account, &key, &changed)?;
        if clash.is_none() {
            clash = self.faults.take_failing();
        }
        if clash.is_none() {
            let by = self.principal(&callers.primary).client_id.clone();
            begin_update(&mut state, place, changed, &by);
        }
        Ok(self.begin(&mut state, place, &key, Kind::Update, clash))
    }

    /// Deletes a deployment; nothing is there to do where there is none.
    ///
    /// # Errors
    /// When it is refused.
    pub fn delete(&self, place: Place<'_>) -> Result<Taken, ArmError> {
        let key = place.name.to_ascii_lowercase();
        let mut state = self.state.lock();
        self.settle_locked(&mut state, place.now_ms);
        if !state.entries[place.account].contains_key(&key) {
            return Ok(Taken {
                operation: None,
                is_new: false,
                resource: None,
            });
        }
        let mut clash = self.clash(&state, place.account)?;
        if clash.is_none() {
            clash = self.faults.take_failing();
        }
        if clash.is_none()
            && let Some(entry) = state.entries[place.account].get_mut(&key)
        {
            entry.phase = Phase::Deleting;
        }
        let taken = self.begin(&mut state, place, &key, Kind::Delete, clash);
        Ok(Taken {
            resource: None,
            ..taken
        })
    }

    /// Pauses or resumes a deployment, at once; again is the same.
    ///
    /// # Errors
    /// When it is refused.
    pub fn pause(&self, place: Place<'_>, paused: bool) -> Result<Value, ArmError> {
        let Place { account, now_ms, .. } = place;
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        let sku = self.present(&state, place)?.in_force.sku;
        if !matches!(sku, Sku::Standard | Sku::GlobalStandard | Sku::DataZoneStandard) {
            return Err(ArmError::invalid_properties(format!(
                "A deployment of SKU '{sku}' cannot be paused."
            )));
        }
        if let Some((code, message)) = self.clash(&state, account)? {
            return Err(ArmError::new(http::StatusCode::CONFLICT, &code, message));
        }
        let id = self.accounts[account].id();
        let Some(entry) = state.entries[account].get_mut(&place.name.to_ascii_lowercase()) else {
            return Err(self.no_deployment(place));
        };
        if entry.paused != paused {
            entry.paused = paused;
            entry.modified_ms = now_ms;
            entry.revision += 1;
            self.publish(account, entry, now_ms);
        }
        Ok(entry.shown(&id, now_ms, true))
    }

    /// A deployment that is there.
    pub(super) fn present<'a>(&self, state: &'a State, place: Place<'_>) -> Result<&'a Entry, ArmError> {
        let found = state.entries[place.account].get(&place.name.to_ascii_lowercase());
        found.ok_or_else(|| self.no_deployment(place))
    }

    fn no_deployment(&self, place: Place<'_>) -> ArmError {
        let managed = &self.accounts[place.account];
        let name = format!("{}/deployments/{}", managed.account.spec.name, place.name);
        ArmError::no_resource("accounts", &name, &managed.group)
    }

    /// What stands against a write to an account: the failure that its operation will have, where that is how conflicts show.
    fn clash(&self, state: &State, account: usize) -> Result<Option<(String, String)>, ArmError> {
        let managed = &self.accounts[account];
        let own = managed
            .account
            .spec
            .provisioning_state
            .as_deref()
            .unwrap_or("Succeeded");
        if own != "Succeeded" {
            return Err(ArmError::invalid_state(&managed.account.spec.name, own));
        }
        if !state.operations.is_busy(account) {
            return Ok(None);
        }
        let conflict = ArmError::conflict(&managed.id());
        match self.settings.compatibility.conflicts {
            Conflicts::Refuse => Err(conflict),
            Conflicts::FailLater => Ok(Some((conflict.code, conflict.message))),
        }
    }

    fn entry(&self, name: &str, properties: Properties, by: &str, now_ms: u64) -> Entry {
        let mut entry = Entry {
            name: name.to_owned(),
            desired: properties.clone(),
            in_force: properties,
            phase: Phase::Creating { since_ms: now_ms },
            paused: false,
            retired: false,
            created_ms: now_ms,
            modified_ms: now_ms,
            created_by: by.to_owned(),
            modified_by: by.to_owned(),
            revision: 1,
            serves_from_ms: None,
            served: None,
            meter: std::sync::Arc::default(),
            tally: Tally::default(),
        };
        entry.tally = Tally::open(entry.terms(self.settings.rules.pause_stops_hosting), now_ms);
        entry
    }

    /// Begins the operation of a write that was taken.
    fn begin(
        &self,
        state: &mut State,
        place: Place<'_>,
        key: &str,
        kind: Kind,
        failure: Option<(String, String)>,
    ) -> Taken {
        let Place { account, now_ms, .. } = place;
        let managed = &self.accounts[account];
        let entry = state.entries[account].get(key);
        let provisioned = entry.is_some_and(|entry| entry.desired.sku.is_provisioned());
        let durations = &self.settings.durations;
        let seconds = match kind {
            Kind::Create if provisioned => durations.create_provisioned_s,
            Kind::Create => durations.create_s,
            Kind::Update => durations.update_s,
            Kind::Delete => durations.delete_s,
        };
        state.sequence += 1;
        let seed = self.scenario.seed;
        let operation = Operation {
            id: uuid(seed, state.sequence),
            subscription: managed.subscription.clone(),
            location: managed.location().to_owned(),
            account,
            key: key.to_owned(),
            kind,
            began_ms: now_ms,
            ends_ms: now_ms + time::of_seconds(seconds),
            status: Status::InProgress,
            is_exclusive: failure.is_none() || !state.operations.is_busy(account),
            failure,
        };
        let resource = entry.map(|entry| entry.shown(&managed.id(), now_ms, place.pauses));
        state.operations.add(operation.clone());
        self.settle_locked(state, now_ms);
        Taken {
            operation: Some(operation),
            is_new: kind == Kind::Create,
            resource,
        }
    }
}

fn begin_update(state: &mut State, place: Place<'_>, properties: Properties, by: &str) {
    let entries = &mut state.entries[place.account];
    if let Some(entry) = entries.get_mut(&place.name.to_ascii_lowercase()) {
        entry.desired = properties;
        entry.phase = Phase::Updating;
        entry.modified_ms = place.now_ms;
        by.clone_into(&mut entry.modified_by);
        entry.revision += 1;
    }
}

fn check_name(name: &str) -> Result<(), ArmError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME_BYTES && name.chars().all(fits) {
        Ok(())
    } else {
        Err(ArmError::invalid_properties(format!(
            "The deployment name '{name}' is invalid: 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit."
        )))
    }
}

fn check_spillover(state: &State, account: usize, wanted: &Properties) -> Result<(), ArmError> {
    let Some(name) = &wanted.spillover else { return Ok(()) };
    let target = state.entries[account].get(&name.to_ascii_lowercase());
    if wanted.sku.is_provisioned() && target.is_some_and(|target| !target.in_force.sku.is_provisioned()) {
        return Ok(());
    }
    Err(ArmError::invalid_properties(format!(
        "The spillover deployment '{name}' must be a standard deployment of the same account, and the deployment itself provisioned."
    )))
}

/// A version 4 UUID in form, drawn from the seed.
pub(super) fn uuid(seed: u64, number: u64) -> String {
    let (high, low) = (draw(seed, ("arm", number)), draw(seed, ("arm end", number)));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
