//! Names of configured things, as types, so that a route's name cannot be passed where a deployment's is meant.
//!
//! Each id is a shared string: cloning is a reference count, comparing is comparing text. Ids come from the
//! configuration only, never from a client, which is what makes them safe as metric labels.

use std::sync::Arc;

use derive_more::{Deref, Display, From};
use serde::{Deserialize, Serialize};

/// A caller of the gateway, as named in `clients`.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct ClientId(Arc<str>);

/// A route: the public model name that clients ask for.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct RouteId(Arc<str>);

/// A pool of deployments that serve the same fine-tuned model.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct PoolId(Arc<str>);

/// One deployment of one resource, written `resource/deployment`.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct DeploymentId(Arc<str>);

/// An Azure OpenAI account: host name and credential.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct ResourceId(Arc<str>);

/// An Azure region, such as `swedencentral`.
#[derive(Clone, Debug, Display, Deref, From, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[from(Arc<str>, &str, String)]
pub struct Region(Arc<str>);
