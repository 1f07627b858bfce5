//! What is done with deployments: written in turn, repeated while their account is busy, and followed to their end where somebody waits
//! for it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::azure::address::ArmRequest;
use crate::azure::error::AzureError;
use crate::azure::resources::{Account, Deployment, DeploymentPatch, Keys, ListedModel, NewDeployment, Usage};
use crate::azure::transport::Answer;
use crate::azure::witness::Write;
use crate::core::arm_id::{AccountId, DeploymentArmId};

use super::{Arm, OnProgress, Progress, is_write, read_body};

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there.
    Done,
    /// Nothing was there.
    NothingThere,
}

impl Arm {
    /// Creates or replaces a deployment. With somebody to tell the progress to it is followed to its end; without, ARM's first answer is
    /// returned.
    ///
    /// # Errors
    /// When ARM refuses, or the operation fails or takes too long.
    pub async fn create(
        &self,
        id: &DeploymentArmId,
        new: &NewDeployment,
        source_tenant: Option<&str>,
        progress: Option<OnProgress<'_>>,
    ) -> Result<Deployment, AzureError> {
        let request = self.address().create(id, new, source_tenant);
        self.write_deployment(id, &request, progress).await
    }

    /// Changes a deployment's SKU or tags.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn update(
        &self,
        id: &DeploymentArmId,
        patch: &DeploymentPatch,
        progress: Option<OnProgress<'_>>,
    ) -> Result<Deployment, AzureError> {
        let request = self.address().update(id, patch);
        self.write_deployment(id, &request, progress).await
    }

    /// Pauses (`pause`) or resumes (`resume`) a deployment.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn switch(&self, id: &DeploymentArmId, verb: &str) -> Result<Deployment, AzureError> {
        let request = self.address().switch(id, verb);
        self.write_deployment(id, &request, None).await
    }

    /// Deletes a deployment; one that is not there is no mistake.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete(&self, id: &DeploymentArmId, progress: Option<OnProgress<'_>>) -> Result<Deleted, AzureError> {
        let request = self.address().delete(id);
        let answer = self.write(id, &request, progress).await?;
        Ok(if answer.status == 204 {
            Deleted::NothingThere
        } else {
            Deleted::Done
        })
    }

    /// Sends a write that [`Self::address`] made, and returns the status of ARM's first answer; nothing is followed.
    ///
    /// # Errors
    /// When ARM refuses.
    pub async fn submit(&self, id: &DeploymentArmId, request: &ArmRequest) -> Result<u16, AzureError> {
        Ok(self.write(id, request, None).await?.status)
    }

    /// Reads a deployment.
    ///
    /// # Errors
    /// When it is not there, or ARM refuses.
    pub async fn deployment(&self, id: &DeploymentArmId) -> Result<Deployment, AzureError> {
        self.read(&self.address().show(id)).await
    }

    /// Deployments of an account.
    ///
    /// # Errors
    /// When ARM refuses.
    pub async fn deployments(&self, account: &AccountId) -> Result<Vec<Deployment>, AzureError> {
        self.list(&self.address().deployments(account)).await
    }

    /// Reads an account.
    ///
    /// # Errors
    /// As [`Self::deployment`].
    pub async fn account(&self, account: &AccountId) -> Result<Account, AzureError> {
        self.read(&self.address().account(account)).await
    }

    /// An account's keys.
    ///
    /// # Errors
    /// As [`Self::deployment`].
    pub async fn keys(&self, account: &AccountId) -> Result<Keys, AzureError> {
        self.read(&self.address().keys(account)).await
    }

    /// Quota of a region.
    ///
    /// # Errors
    /// When ARM refuses.
    pub async fn usages(&self, subscription: &str, location: &str) -> Result<Vec<Usage>, AzureError> {
        self.list(&self.address().usages(subscription, location)).await
    }

    /// Models that can be deployed in an account, as ARM writes them: its fine-tuned ones too.
    ///
    /// # Errors
    /// When ARM refuses.
    pub async fn account_models(&self, account: &AccountId) -> Result<Vec<ListedModel>, AzureError> {
        self.list(&self.address().account_models(account)).await
    }

    async fn write_deployment(
        &self,
        id: &DeploymentArmId,
        request: &ArmRequest,
        progress: Option<OnProgress<'_>>,
    ) -> Result<Deployment, AzureError> {
        let answer = self.write(id, request, progress).await?;
        if progress.is_some() || answer.body.is_empty() {
            return self.deployment(id).await;
        }
        read_body(request, &answer)
    }

    /// Writes, again and again while the account is busy.
    async fn write(
        &self,
        id: &DeploymentArmId,
        request: &ArmRequest,
        progress: Option<OnProgress<'_>>,
    ) -> Result<Answer, AzureError> {
        if is_write(request) && !self.writes.load(Ordering::Relaxed) {
            return Err(AzureError::WritesOff);
        }
        let patience = self.settings.patience;
        let began = Instant::now();
        let _turn = self.gate.enter(id.account()).await;
        let mut tries = 0;
        loop {
            let refused = match self.write_once(id, request, progress).await {
                Err(error) if error.is_conflict() && began.elapsed() < patience.conflict => error,
                done => return done,
            };
            if let Some(progress) = progress {
                progress(Progress {
                    state: refused.code().unwrap_or_default(),
                    waited: began.elapsed(),
                });
            }
            // Nothing tells when another's operation on the account has ended.
            tokio::time::sleep(patience.again(None, tries, rand::random())).await;
            tries += 1;
        }
    }

    async fn write_once(
        &self,
        id: &DeploymentArmId,
        request: &ArmRequest,
        progress: Option<OnProgress<'_>>,
    ) -> Result<Answer, AzureError> {
        let answer = self.send_again(request).await?;
        if let Some(progress) = progress {
            let vanishes = request.method == http::Method::DELETE;
            let end = self.end(&answer, id, vanishes, progress).await;
            let is_over = matches!(end, Ok(()) | Err(AzureError::Refused(_)));
            if let (Some(witness), Some(client_request_id), true) = (&self.witness, &answer.witnessed, is_over) {
                let write = Write {
                    request,
                    client_request_id,
                };
                witness.followed(write, end.as_ref().copied()).await;
            }
            end?;
        }
        Ok(answer)
    }
}
