// A page that asks for a few things, sends them, and says that it is done: setup.js and pair.js.

const PATIENCE_MS = 30_000;

export const field = (id) => document.getElementById(id);

/** Says what is wrong, to eyes and to screen readers, and goes to where it can be put right. */
export function complain(text, input) {
  field("problem").textContent = text;
  for (const each of document.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
  }
  if (input) {
    input.closest(".field").hidden = false;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

/**
 * Sends `values` as JSON each time that the form is submitted. `faultOf()` gives the first thing wrong with what was
 * typed, as [text, input]; `refusalOf(body)` what an error answer says of an input, likewise. Both may give nothing.
 */
export function asking(form, { address, values, faultOf, refusalOf = () => null, busy, doneTitle, silence }) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = field("send");
    if (button.getAttribute("aria-disabled") === "true") {
      return;
    }
    const fault = faultOf();
    complain(...(fault ?? [""]));
    if (fault) {
      return;
    }
    const idle = button.textContent;
    // Not `disabled`: that would take the focus away.
    button.setAttribute("aria-disabled", "true");
    button.textContent = busy;
    try {
      const answer = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(values()),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.ok) {
        finish(form, doneTitle);
      } else {
        complain(...(await refusal(answer, refusalOf)));
      }
    } catch {
      complain(silence);
    } finally {
      button.removeAttribute("aria-disabled");
      button.textContent = idle;
    }
  });
}

/** What an error answer says (RFC 9457's `detail`, or a sentence of our own), and the input it is about, if one. */
async function refusal(answer, refusalOf) {
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await answer.json() : {};
  return refusalOf(body) ?? [body.detail ?? `The server answered ${answer.status}. Its log says more.`];
}

function finish(form, title) {
  form.reset();
  // What was in the link has been used.
  history.replaceState(null, "", location.pathname);
  document.title = title;
  field("asking").hidden = true;
  field("done").hidden = false;
  field("done-title").focus();
}
