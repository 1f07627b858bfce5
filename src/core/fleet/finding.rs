//! What a look at the fleet finds, in words that are the same in table, log, metric and test.

use strum::{AsRefStr, IntoStaticStr};

use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::key::DeploymentKey;

/// What was found, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    /// It should be there and is not.
    Missing,
    /// Its last write came to nothing.
    Broken,
    /// It runs another model than it should.
    ModelDrift,
    /// It is of another SKU than it should be.
    SkuDrift,
    /// It has another capacity than it should.
    CapacityDrift,
    /// It has another content filter than it should.
    FilterDrift,
    /// A step is not taken: there is too little quota.
    QuotaShort,
    /// A step is not taken: the catalogue says that Azure does not offer this.
    NotOffered,
    /// A step is not taken: the catalogue does not know whether Azure offers this.
    NotVouchedFor,
    /// A step is not taken: the configuration does not say enough.
    Incomplete,
    /// A step is not taken: nobody else would serve meanwhile.
    OnlyMember,
    /// Its account could not be read.
    Unseen,
    /// Members of a pool run different models.
    UnlikeWeights,
    /// It is not known what a pool's members run.
    WeightsUnknown,
    /// Its model has retired: it answers with errors.
    Retired,
    /// Its model retires soon.
    RetiringSoon,
    /// Nobody would be left of a pool when the Developer tier's members have ended.
    DeveloperAlone,
    /// Azure has turned it off.
    Disabled,
    /// It is paused: it answers 423, and its hosting fee goes on.
    Paused,
    /// It is on its way to another state.
    Passing,
    /// Azure may refuse the step: the catalogue says no, or does not know.
    OfferDoubtful,
    /// The account has as many deployments as it may.
    TooMany,
    /// Nobody declares it.
    Unknown,
}

impl FindingKind {
    /// The word for table, log, metric and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether something that should be done cannot be, so that nothing may be deleted either.
    pub fn blocks(self) -> bool {
        matches!(
            self,
            Self::QuotaShort
                | Self::NotOffered
                | Self::NotVouchedFor
                | Self::Incomplete
                | Self::OnlyMember
                | Self::Unseen
        )
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Of what: a deployment as `resource/name` in the configuration, or as `account/name` where nobody declares it; a pool; an account.
    pub of: String,
    /// The deployment, where it is of one.
    pub key: Option<DeploymentKey>,
    /// For people, with what to do.
    pub sentence: String,
}

impl Finding {
    /// Of a declared deployment.
    pub fn of(kind: FindingKind, declared: &DeclaredDeployment, sentence: String) -> Self {
        Self {
            kind,
            of: declared.id.to_string(),
            key: Some(declared.key.clone()),
            sentence,
        }
    }

    /// Of a deployment that nobody declares.
    pub fn new(kind: FindingKind, key: &DeploymentKey, sentence: String) -> Self {
        Self {
            kind,
            of: key.to_string(),
            key: Some(key.clone()),
            sentence,
        }
    }

    /// Of a pool or an account.
    pub fn about(kind: FindingKind, name: &str, sentence: String) -> Self {
        Self {
            kind,
            of: name.to_owned(),
            key: None,
            sentence,
        }
    }
}
