"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followColourScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followColourScheme);
followColourScheme();

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  filter: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // A token typed in here is gone with the page: nothing is kept in the browser's storage.
  persistAuthorization: false,
  // Without this the document's address would be sent to a validator on a foreign host.
  validatorUrl: null,
});
