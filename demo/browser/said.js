// What the page says, and the wishes that it is told.

import { EnhanceError } from "./enhance.js";

export const $ = (id) => document.getElementById(id);
export const page = $("page");

export function say(text) {
  $("status").textContent = text;
}

export function complain(error) {
  if (!(error instanceof EnhanceError)) console.error(error);
  $("error-text").textContent =
    error instanceof EnhanceError ? error.message : `Something went wrong: ${error.message}`;
  $("error").hidden = false;
}

// Run one of the person's wishes; what fails is said, and the page goes on.
export async function attempt(wish) {
  $("error").hidden = true;
  try {
    await wish();
  } catch (error) {
    say("");
    complain(error);
  } finally {
    page.ariaBusy = "false";
  }
}
