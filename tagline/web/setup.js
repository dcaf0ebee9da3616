// The one-time set-up page. The token comes in the link's fragment, which a browser sends to no server and no log.

import { asking, field } from "./asking.js";

const SHORTEST = 8; // characters
const LONGEST = 1024; // bytes of UTF-8

/** The token in `#token=…`, or "" when the page was opened without one. */
function tokenInLink() {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

function takeTokenFromLink() {
  field("token").value = tokenInLink();
  field("token-field").hidden = field("token").value !== "";
}

function values() {
  return { token: field("token").value.trim(), password: field("password").value };
}

function faultOf() {
  const { token, password } = values();
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
  if (password !== field("repeat").value) {
    return ["The two passwords are not the same.", field("repeat")];
  }
  return null;
}

function refusalOf(body) {
  const first = body.errors?.[0];
  const label = { password: "The password", token: "The code" }[first?.field];
  return label ? [`${label} ${first.message}.`, field(first.field)] : null;
}

takeTokenFromLink();
window.addEventListener("hashchange", takeTokenFromLink);
asking(field("setup"), {
  address: "/setup",
  values,
  faultOf,
  refusalOf,
  busy: "Setting the password …",
  doneTitle: "Tagline is ready",
  silence: "Tagline does not answer. Is it still running? Nothing is lost: try again when it is.",
});
field("show").addEventListener("change", (event) => {
  for (const input of [field("password"), field("repeat")]) {
    input.type = event.target.checked ? "text" : "password";
  }
});
