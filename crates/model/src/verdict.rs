//! What the mesh says of a target, and of its own agents.

crate::closed_words! {
    /// What the mesh says of a target.
    pub enum Verdict ("verdict") {
        /// Independent witnesses reach it.
        Up = "up",
        /// It answers everywhere, but badly: errors now and then, slowly, against its checks.
        Degraded = "degraded",
        /// Some witnesses cannot reach it, and one fault of a region or provider explains them.
        Regional = "regional",
        /// Some witnesses cannot reach it, and no single fault between explains them.
        Partial = "partial",
        /// A quorum of independent witnesses sees it fail, and nobody independent sees it well.
        Outage = "outage",
        /// A quorum is refused for want of a credential that it accepts.
        AuthWalled = "auth_walled",
        /// A quorum is told to come back later.
        RateLimited = "rate_limited",
        /// Too little is known to say anything.
        Unknown = "unknown",
        /// Its operator declared maintenance.
        Maintenance = "maintenance",
    }
}

crate::closed_words! {
    /// Why an agent has no vote.
    pub enum Fault ("fault") {
        /// Nothing was heard of it for three heartbeats.
        Silent = "silent",
        /// What it should reach in any case it does not reach either.
        SelfTest = "self_test",
        /// Its slots begin late: the machine is starved.
        Lag = "lag",
        /// It is alone in what it says of most targets of several hostings. Reported; its votes count.
        Minority = "minority",
    }
}

crate::closed_words! {
    /// What is to be known beside a verdict.
    pub enum Flag ("flag") {
        /// The fleet has so few independent witnesses that two of them decide.
        WeakQuorum = "weak_quorum",
        /// Too few references vouch for the witnesses' own networks.
        WeaklyAttested = "weakly_attested",
        /// The tools that its server lists are not those that are pinned.
        ContractDrift = "contract_drift",
        /// A credential that worked until then is refused: somebody revoked or changed it.
        CredentialRefused = "credential_refused",
        /// It fails again and again, and comes back each time.
        Flapping = "flapping",
    }
}
