// The page /docs: the calls of the API, from its OpenAPI document.
import { askKey } from "./dialogs";
import { h, type Child } from "./dom";
import { json, onKeyNeeded } from "./http";
import { applyTheme } from "./theme";

interface Schema { readonly $ref?: string; readonly [key: string]: unknown; }
interface Content { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>; }
interface Parameter {
  readonly name: string; readonly in: string; readonly required?: boolean; readonly description?: string; readonly schema?: Schema;
}
interface Call {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses: Readonly<Record<string, Content & { readonly description?: string; readonly $ref?: string }>>;
}
interface Document {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Call>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const code = (text: string): HTMLElement => h("code", {}, text);

/** A schema as text. The names of other schemas are links. */
function schema(value: Schema | undefined): Child {
  if (!value) return null;
  const text = JSON.stringify(value, null, 2);
  const pre = h("pre", { tabindex: 0 });
  const reference = /\{\s*"\$ref": "#\/components\/schemas\/(\w+)"\s*\}/g;
  let end = 0;
  for (const match of text.matchAll(reference)) {
    const name = match[1] ?? "";
    pre.append(text.slice(end, match.index), h("a", { href: `#${name}` }, name));
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}

function contents(of: Content): Child[] {
  return Object.entries(of.content ?? {}).flatMap(([kind, { schema: value }]) => [h("p", {}, code(kind)), schema(value)]);
}

function call(method: string, path: string, about: Call): HTMLElement {
  const parameters = (about.parameters ?? []).map((parameter) => h("li", {},
    code(parameter.name), ` in the ${parameter.in}`, parameter.required ? ", needed" : "",
    parameter.description ? `: ${parameter.description}` : "",
    parameter.schema ? h("code", { class: "type" }, JSON.stringify(parameter.schema)) : null));
  const responses = Object.entries(about.responses).flatMap(([status, response]) => [
    h("p", {}, code(status), response.description ? ` ${response.description}` : response.$ref ? " a problem (RFC 9457)" : ""),
    ...contents(response),
  ]);
  return h("details", {},
    h("summary", {}, h("code", { class: "method" }, method.toUpperCase()), code(path), h("span", {}, about.summary)),
    about.description ? h("p", {}, about.description) : null,
    parameters.length ? h("h3", {}, "Parameters") : null,
    parameters.length ? h("ul", {}, ...parameters) : null,
    about.requestBody ? h("h3", {}, "Body") : null,
    ...(about.requestBody ? contents(about.requestBody) : []),
    h("h3", {}, "Answers"), ...responses);
}

function show(document: Document): HTMLElement {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => call(method, path, about)));
  const shapes = Object.entries(document.components.schemas).map(([name, value]) =>
    h("details", { id: name }, h("summary", {}, code(name)), schema(value)));
  return h("main", {},
    h("h1", {}, `${document.info.title} API, version ${document.info.version}`),
    h("p", {}, "The same as a document: ", h("a", { href: "api/v1/openapi.json" }, "openapi.json"), ". ", h("a", { href: "." }, "The page")),
    h("h2", {}, "Calls"), ...calls, h("h2", {}, "Schemas"), ...shapes);
}

/** Opens the schema that the address names. */
function follow(): void {
  const named = document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

applyTheme();
onKeyNeeded(askKey);
addEventListener("hashchange", follow);
json<Document>("/openapi.json").then(
  (found) => { document.body.append(show(found)); follow(); },
  (error: unknown) => document.body.append(h("p", { role: "alert" }, String(error))));
