//! `kith safety`.

use reqwest::Method;

use super::args;
use super::client::Client;
use super::drawing::draw;
use super::error::CliError;
use super::output::{Out, foreign_name, minute};
use super::{argument_or_input, picture, who};
use crate::api::dto::{Contact, Items, NewVerification, SafetyNumber, VerifiedBy};
use crate::api::qr::Matrix;

/// Digits of a group, and groups of a line.
const GROUP: usize = 5;
const GROUPS: usize = 4;

/// Shows a safety number, or says what came of comparing it.
pub(super) async fn run(client: &Client, safety: args::Safety, out: Out) -> Result<(), CliError> {
    let contacts: Items<Contact> = client.get("/contacts").await?;
    let contact = who::contact(contacts.items, &safety.who)?;
    let path = format!("/contacts/{}/verification", contact.id);
    let changed: Contact = if safety.undo {
        client.change(Method::DELETE, &path, None::<&()>).await?
    } else if let Some(code) = &safety.code {
        match picture::read(code)? {
            Some(picture) => client.send_picture(Method::PUT, &path, picture).await?,
            None => {
                let body = NewVerification { code: Some(argument_or_input(code)?), same: None };
                client.change(Method::PUT, &path, Some(&body)).await?
            }
        }
    } else if safety.same {
        client
            .change(Method::PUT, &path, Some(&NewVerification { code: None, same: Some(true) }))
            .await?
    } else {
        return show(client, &contact, safety.drawing, out).await;
    };
    out.show(&changed, |contact| {
        let name = foreign_name(contact.alias.as_ref().unwrap_or(&contact.name));
        match contact.verified {
            true => format!("{name} is verified: nobody stands between you."),
            false => format!("{name} is not verified."),
        }
    })
}

async fn show(
    client: &Client,
    contact: &Contact,
    drawing: args::Drawing,
    out: Out,
) -> Result<(), CliError> {
    let path = format!("/contacts/{}/safety-number", contact.id);
    let safety: SafetyNumber = client.get(&path).await?;
    if out.json {
        return out.object(&safety);
    }
    let name = foreign_name(contact.alias.as_ref().unwrap_or(&contact.name));
    if let Ok(matrix) = Matrix::of(&safety.code) {
        out.line(draw(&matrix, drawing, out.colour))?;
    }
    out.line(lines(&safety.number))?;
    out.line(match (&safety.verified_at, safety.verified_by) {
        (Some(at), Some(VerifiedBy::Code)) => format!("Verified {} by their code.", minute(at)),
        (Some(at), _) => format!("Verified {} by these digits.", minute(at)),
        (None, _) => "Not verified.".to_owned(),
    })?;
    out.note(&format!(
        "{name} sees the same digits under your name. Compare them where nobody can change what you say: \
         in person, or on a call when you know the voice. If they are the same: “kith safety {} --same”.",
        contact.id
    ));
    Ok(())
}

/// Groups of five digits, four on a line.
fn lines(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    let groups: Vec<String> = digits.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.chunks(GROUPS).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_digits_are_three_lines_of_four_groups() {
        let number = "0123456789".repeat(6);
        let line = "01234 56789 01234 56789";
        assert_eq!(lines(&number), [line, line, line].join("\n"));
    }
}
