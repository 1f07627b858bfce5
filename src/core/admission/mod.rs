//! WHO IS NEXT? Requests that wait for a deployment to recover, and in which order they go.

pub mod queue;
