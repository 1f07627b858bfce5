//! WHO MAY COME IN, AND WHO IS NEXT? Limits of clients and routes, and requests that wait for a deployment to recover.

pub mod limit;
pub mod queue;
pub mod shed;
