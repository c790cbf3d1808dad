//! Closed vocabularies: enums whose every variant has one fixed string.

/// A string that is not a word of a closed vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {noun}; use one of: {allowed}")]
pub struct UnknownWord {
    /// What kind of word was expected, such as `reason`.
    pub noun: &'static str,
    /// What was given, cut to a length that is safe to show.
    pub given: String,
    /// Every word that would have been right, comma-separated.
    pub allowed: String,
}

impl UnknownWord {
    /// An error for `given`, which is none of `allowed`.
    #[must_use]
    pub fn new(noun: &'static str, given: &str, allowed: &[&str]) -> Self {
        Self {
            noun,
            given: crate::text::line(given, 64),
            allowed: allowed.join(", "),
        }
    }
}

/// Defines an enum whose variants have fixed strings: `as_str`, `ALL`, `Display`, `FromStr` and
/// serde, all from one table, so that no string can differ between the API and a metric label.
#[macro_export]
macro_rules! closed_words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident ($noun:literal) {
            $( $(#[$vmeta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$vmeta])* $variant, )+
        }

        impl $name {
            /// Every word, in declaration order.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The one string of this word, the same in API, metrics, files and CLI.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::closed::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == word)
                    .ok_or_else(|| {
                        let words: Vec<&str> = Self::ALL.iter().map(|w| w.as_str()).collect();
                        $crate::closed::UnknownWord::new($noun, word, &words)
                    })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(input)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [ $( $word, )+ ] })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::{Reason, Step};

    #[test]
    fn words_round_trip_and_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().as_ref(), Ok(reason));
            assert!(seen.insert(reason.as_str()), "{reason} stands twice");
        }
    }

    #[test]
    fn an_unknown_word_names_the_way_out() {
        let error = "handshake".parse::<Step>().unwrap_err().to_string();
        assert!(error.starts_with("`handshake` is not a step; use one of: authorize, stream, "));
    }
}
