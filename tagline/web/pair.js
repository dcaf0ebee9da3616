// The page behind a pairing code. The code comes in the link's fragment, which a browser sends to no server and no log.

import { asking, field } from "./asking.js";

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

function values() {
  return { code: field("code").value.trim(), device_name: field("device").value.trim() };
}

function faultOf() {
  const { code, device_name } = values();
  if (code === "") {
    return ["The pairing code is missing: scan the QR code again, or copy what follows # in the link.", field("code")];
  }
  return device_name === "" ? ["Give this device a name.", field("device")] : null;
}

takeCodeFromLink();
field("device").value ||= guessedName();
window.addEventListener("hashchange", takeCodeFromLink);
asking(field("pair"), {
  address: "/api/auth/pair/exchange",
  values,
  faultOf,
  busy: "Pairing …",
  doneTitle: "Paired with Tagline",
  silence: "Tagline does not answer. Is this device in the same network? Try again when it is.",
});
