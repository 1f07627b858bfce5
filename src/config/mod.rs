//! WHAT is configured? One YAML file: parsed, checked, compiled into [`checked::Checked`], reloaded.

pub mod checked;
pub mod secrets;
