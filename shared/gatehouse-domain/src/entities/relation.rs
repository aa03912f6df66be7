//! What one entity has to do with another.

use std::{fmt, str::FromStr};

macro_rules! relations {
    ($($name:ident = $text:literal <-> $inverse:ident = $inverse_text:literal,)*) => {
        /// A relation, named as Backstage names it. Each has one that says the same from the other side.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Relation {
            $($name, $inverse,)*
        }

        impl Relation {
            pub const ALL: &[Self] = &[$(Self::$name, Self::$inverse),*];

            /// `ownedBy`, …
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text, Self::$inverse => $inverse_text,)*
                }
            }

            /// The same, seen from the other side.
            #[must_use]
            pub fn inverse(self) -> Self {
                match self {
                    $(Self::$name => Self::$inverse, Self::$inverse => Self::$name,)*
                }
            }
        }
    };
}

relations! {
    OwnedBy = "ownedBy" <-> OwnerOf = "ownerOf",
    PartOf = "partOf" <-> HasPart = "hasPart",
    DependsOn = "dependsOn" <-> DependencyOf = "dependencyOf",
    ProvidesApi = "providesApi" <-> ApiProvidedBy = "apiProvidedBy",
    ConsumesApi = "consumesApi" <-> ApiConsumedBy = "apiConsumedBy",
    ChildOf = "childOf" <-> ParentOf = "parentOf",
    HasMember = "hasMember" <-> MemberOf = "memberOf",
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A relation that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a relation")]
pub struct UnknownRelation(String);

impl FromStr for Relation {
    type Err = UnknownRelation;

    fn from_str(raw: &str) -> Result<Self, UnknownRelation> {
        let known = Self::ALL.iter().find(|relation| relation.as_str() == raw);
        known.copied().ok_or_else(|| UnknownRelation(raw.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_relation_is_the_other_side_of_its_other_side() {
        for relation in Relation::ALL {
            assert_ne!(relation.inverse(), *relation);
            assert_eq!(relation.inverse().inverse(), *relation);
            assert_eq!(relation.as_str().parse(), Ok(*relation));
        }
    }
}
