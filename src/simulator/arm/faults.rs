//! What goes wrong with the control plane on purpose: answers that a script gives, and operations that fail later.
//!
//! As on the data plane the first fault that fits is met, and a counted one is gone when its count is. Being down altogether is not a
//! fault: the listener is stopped.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::simulator::arm::error::ArmError;

/// Faults in force at once.
const MAX_FAULTS: usize = 1_000;

/// One fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmFault {
    /// Only requests with this method; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path has this in it, in any case: `deployments/support`, `oauth2`; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For so many requests; until removed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What happens.
    pub action: ArmAction,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ArmAction {
    /// Answers with this error, before anything is looked at.
    Respond {
        /// Status code, 400 to 599.
        status: u16,
        /// `error.code`.
        code: String,
        /// `error.message`.
        #[serde(default)]
        message: String,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Waits, then goes on.
    Delay {
        /// How long.
        ms: u64,
    },
    /// Never answers.
    Hang,
    /// The write is accepted and its operation fails. `method` and `path` are not looked at.
    FailOperation {
        /// `error.code`.
        code: String,
        /// `error.message`.
        #[serde(default)]
        message: String,
    },
}

/// A fault with its number.
#[derive(Debug, Clone, Serialize)]
pub struct ArmFaultInForce {
    /// What removes it.
    pub id: u64,
    /// Requests that met it.
    pub met: u64,
    /// The fault; `count` is what is left.
    pub fault: ArmFault,
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct ArmFaults {
    entries: Mutex<(u64, Vec<ArmFaultInForce>)>,
}

impl ArmFaults {
    /// Puts one in force and returns its number.
    ///
    /// # Errors
    /// With the problem, when it breaks a rule or there are too many.
    pub fn add(&self, fault: ArmFault) -> Result<u64, String> {
        if let ArmAction::Respond { status, .. } = &fault.action
            && !(400..=599).contains(status)
        {
            return Err(format!("status `{status}` is not 400 to 599"));
        }
        let mut entries = self.entries.lock();
        let (last, faults) = &mut *entries;
        if faults.len() >= MAX_FAULTS {
            return Err(format!("`{MAX_FAULTS}` faults are in force; remove some first"));
        }
        *last += 1;
        faults.push(ArmFaultInForce {
            id: *last,
            met: 0,
            fault,
        });
        Ok(*last)
    }

    /// Removes one; false when it is not in force.
    pub fn remove(&self, id: u64) -> bool {
        let faults = &mut self.entries.lock().1;
        let before = faults.len();
        faults.retain(|entry| entry.id != id);
        faults.len() < before
    }

    /// Removes all.
    pub fn clear(&self) {
        self.entries.lock().1.clear();
    }

    /// Those in force, oldest first.
    pub fn list(&self) -> Vec<ArmFaultInForce> {
        self.entries.lock().1.clone()
    }

    /// What a request meets.
    pub fn take(&self, method: &http::Method, path: &str) -> Option<ArmAction> {
        let path = path.to_ascii_lowercase();
        self.first(|fault| {
            let by_method = fault
                .method
                .as_deref()
                .is_none_or(|name| name.eq_ignore_ascii_case(method.as_str()));
            let by_path = fault
                .path
                .as_deref()
                .is_none_or(|part| path.contains(&part.to_ascii_lowercase()));
            by_method && by_path && !matches!(fault.action, ArmAction::FailOperation { .. })
        })
    }

    /// Code and message with which the next operation fails, if one is to.
    pub fn take_failing(&self) -> Option<(String, String)> {
        match self.first(|fault| matches!(fault.action, ArmAction::FailOperation { .. }))? {
            ArmAction::FailOperation { code, message } => Some((code, message)),
            _ => None,
        }
    }

    fn first(&self, fits: impl Fn(&ArmFault) -> bool) -> Option<ArmAction> {
        let faults = &mut self.entries.lock().1;
        let index = faults.iter().position(|entry| fits(&entry.fault))?;
        let entry = &mut faults[index];
        entry.met += 1;
        let action = entry.fault.action.clone();
        if let Some(count) = &mut entry.fault.count {
            *count = count.saturating_sub(1);
            if *count == 0 {
                faults.remove(index);
            }
        }
        Some(action)
    }
}

impl ArmAction {
    /// The refusal, where it is one.
    pub fn refusal(&self) -> Option<ArmError> {
        let Self::Respond {
            status,
            code,
            message,
            retry_after_s,
        } = self
        else {
            return None;
        };
        let status = http::StatusCode::from_u16(*status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let mut refusal = ArmError::new(status, code, message.as_str());
        refusal.retry_after_s = *retry_after_s;
        Some(refusal)
    }
}
