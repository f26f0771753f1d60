//! What a plan leaves out, as options of the managers.

use super::names::plain_name;
use crate::managers::facts::Plan;

/// The packages that a plan leaves out.
pub fn excludes(plan: &Plan) -> Vec<String> {
    plan.staying().map(|name| format!("--exclude={name}")).collect()
}

/// For dnf 4 and yum, the packages of repositories that name no key. This key does not exist, so no package of theirs
/// can be accepted. With no key at all, the manager would refuse to do anything.
pub fn of_keyless(plan: &Plan) -> impl Iterator<Item = String> {
    plan.keyless.iter().map(|id| format!("--setopt={id}.gpgkey=file:///nonexistent"))
}

/// The packages that a plan leaves out for dnf 4 and dnf 5, with the versions in whose place older ones come and with
/// those that do not come from a repository. `disable_excludes` in dnf.conf would switch off these too.
pub fn excludes_of_dnf(plan: &Plan) -> Vec<String> {
    let of_version = |(name, version): &(String, String)| match plain_name(name) {
        plain if plain != name => format!("--exclude={plain}-{version}{}", &name[plain.len()..]),
        plain => format!("--exclude={plain}-{version}"),
    };
    let mut options = excludes(plan);
    options.extend(plan.passed_over.iter().map(of_version));
    // Behind what the administrator excludes from it.
    options.extend(plan.not_from.iter().map(|(id, name)| format!("--setopt={id}.excludepkgs={name}")));
    if !options.is_empty() {
        options.insert(0, "--setopt=disable_excludes=".to_string());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_in_whose_place_an_older_one_comes_is_excluded_by_itself() {
        let plan = Plan {
            left_out: vec!["tb-x".into()],
            passed_over: [("tb-a".to_string(), "1:1.0-1".to_string())].into(),
            not_from: [("extra".to_string(), "tb-b".to_string())].into(),
            ..Plan::default()
        };
        assert_eq!(
            excludes_of_dnf(&plan),
            [
                "--setopt=disable_excludes=",
                "--exclude=tb-x",
                "--exclude=tb-a-1:1.0-1",
                "--setopt=extra.excludepkgs=tb-b"
            ]
        );
        assert!(excludes_of_dnf(&Plan::default()).is_empty());
    }
}
