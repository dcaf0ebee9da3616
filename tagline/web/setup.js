// The one-time set-up page. The token comes in the link's fragment, which a browser sends to no server and no log.

const SHORTEST = 8; // characters
const LONGEST = 1024; // bytes of UTF-8
const PATIENCE_MS = 30_000;

const field = (id) => document.getElementById(id);
const form = field("setup");
const inputs = ["token", "password", "repeat"].map(field);
const send = field("send");

/** The token in `#token=…`, or "" when the page was opened without one. */
function tokenInLink() {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

function takeTokenFromLink() {
  field("token").value = tokenInLink();
  field("token-field").hidden = field("token").value !== "";
}

/** Says what is wrong, to eyes and to screen readers, and goes to where it can be put right. */
function complain(text, input) {
  field("problem").textContent = text;
  for (const each of inputs) {
    each.removeAttribute("aria-invalid");
  }
  if (input) {
    input.closest(".field").hidden = false;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

/** The first thing wrong with what was typed, as [text, input], or null. */
function firstFault(token, password, repeat) {
  if (token === "") {
    return ["The set-up code is missing: open the whole link that Tagline printed, or copy the code from it.", field("token")];
  }
  // Code points, as the server counts them.
  if ([...password].length < SHORTEST) {
    return [`The password needs ${SHORTEST} characters or more.`, field("password")];
  }
  if (new TextEncoder().encode(password).length > LONGEST) {
    return ["The password is too long.", field("password")];
  }
  if (password !== repeat) {
    return ["The two passwords are not the same.", field("repeat")];
  }
  return null;
}

/** What an error answer says (RFC 9457's `detail`, or a sentence of our own) and the input it is about, if one. */
async function refusal(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await answer.json() : {};
  const first = body.errors?.[0];
  const label = { password: "The password", token: "The code" }[first?.field];
  const text = (label && `${label} ${first.message}.`) ?? body.detail ?? `The server answered ${answer.status}. Its log says more.`;
  return [text, inputs.find((input) => input.id === first?.field)];
}

function finish() {
  form.reset();
  history.replaceState(null, "", location.pathname);
  document.title = "Tagline is ready";
  field("asking").hidden = true;
  field("done").hidden = false;
  field("done-title").focus();
}

async function submit(event) {
  event.preventDefault();
  if (send.getAttribute("aria-disabled") === "true") {
    return;
  }
  const [token, password, repeat] = inputs.map((input) => input.value);
  const fault = firstFault(token.trim(), password, repeat);
  if (fault) {
    complain(...fault);
    return;
  }
  complain("");
  // Not `disabled`: that would take the focus away.
  send.setAttribute("aria-disabled", "true");
  send.textContent = "Setting the password …";
  try {
    const answer = await fetch("/setup", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ token: token.trim(), password }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.ok) {
      finish();
    } else {
      complain(...(await refusal(answer)));
    }
  } catch {
    complain("Tagline does not answer. Is it still running? Nothing is lost: try again when it is.");
  } finally {
    send.removeAttribute("aria-disabled");
    send.textContent = "Set the password";
  }
}

takeTokenFromLink();
window.addEventListener("hashchange", takeTokenFromLink);
form.addEventListener("submit", submit);
field("show").addEventListener("change", (event) => {
  for (const input of [field("password"), field("repeat")]) {
    input.type = event.target.checked ? "text" : "password";
  }
});
