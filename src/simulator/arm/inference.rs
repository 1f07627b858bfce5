//! May a token of Entra ID ask an account? The data plane's half of identity.

use http::{Method, StatusCode};

use crate::simulator::arm::plane::Plane;
use crate::simulator::arm::principals::Action;
use crate::simulator::arm::token::{self, For};
use crate::simulator::failure::Failure;

impl Plane {
    /// Admits the holder of a token to an account's data plane.
    ///
    /// # Errors
    /// 401 in the service's words: one for tokens that do not count there and then, another for principals without the role.
    pub fn admit(&self, account: &str, bearer: &str, method: &Method, now_s: u64) -> Result<(), Failure> {
        let managed = self
            .accounts
            .iter()
            .find(|managed| managed.account.spec.name == account);
        let managed = managed.ok_or_else(Failure::wrong_token)?;
        let caller = token::check(&self.settings, bearer, For::Inference, now_s).map_err(|_| Failure::wrong_token())?;
        if !caller.tenant.eq_ignore_ascii_case(&managed.tenant) {
            return Err(Failure::wrong_token());
        }
        let principal = self.principal(&caller);
        let id = managed.id();
        let reads = method == Method::GET && principal.may(Action::Read, &id);
        if reads || principal.may(Action::Infer, &id) {
            return Ok(());
        }
        let message = format!(
            "The principal `{}` lacks the required data action `{}` to perform `POST /openai/deployments/{{deployment-id}}/chat/completions` operation.",
            principal.object_id,
            Action::Infer.shown()
        );
        Err(Failure::coded(StatusCode::UNAUTHORIZED, "PermissionDenied", &message))
    }
}
