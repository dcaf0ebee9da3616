// The page behind a pairing code. The code comes in the link's fragment, which a browser sends to no server and no log.

const PATIENCE_MS = 30_000;

const field = (id) => document.getElementById(id);
const form = field("pair");
const inputs = ["code", "device"].map(field);
const send = field("send");

function takeCodeFromLink() {
  if (location.hash.length > 1) {
    // Another code, in a page that has used one.
    field("asking").hidden = false;
    field("done").hidden = true;
  }
  field("code").value = location.hash.slice(1);
  field("code-field").hidden = field("code").value !== "";
}

/** A first name for this device, better than none. */
function guessedName() {
  return navigator.userAgent.match(/iPhone|iPad|Android|Macintosh|Windows/)?.[0].replace("Macintosh", "Mac") ?? "";
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

/** What an error answer says (RFC 9457's `detail`, or a sentence of our own). */
async function refusal(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await answer.json() : {};
  return body.detail ?? `The server answered ${answer.status}. Its log says more.`;
}

function finish() {
  form.reset();
  history.replaceState(null, "", location.pathname);
  document.title = "Paired with Tagline";
  field("asking").hidden = true;
  field("done").hidden = false;
  field("done-title").focus();
}

async function submit(event) {
  event.preventDefault();
  if (send.getAttribute("aria-disabled") === "true") {
    return;
  }
  const [code, device] = inputs.map((input) => input.value.trim());
  if (code === "") {
    complain("The pairing code is missing: scan the QR code again, or copy what follows # in the link.", field("code"));
    return;
  }
  if (device === "") {
    complain("Give this device a name.", field("device"));
    return;
  }
  complain("");
  // Not `disabled`: that would take the focus away.
  send.setAttribute("aria-disabled", "true");
  send.textContent = "Pairing …";
  try {
    const answer = await fetch("/api/auth/pair/exchange", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ code, device_name: device }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.ok) {
      finish();
    } else {
      complain(await refusal(answer));
    }
  } catch {
    complain("Tagline does not answer. Is this device in the same network? Try again when it is.");
  } finally {
    send.removeAttribute("aria-disabled");
    send.textContent = "Pair this device";
  }
}

takeCodeFromLink();
field("device").value ||= guessedName();
window.addEventListener("hashchange", takeCodeFromLink);
form.addEventListener("submit", submit);
