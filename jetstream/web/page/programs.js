// What programs may ask, from the server's own description of it (OpenAPI 3.1).

import { get } from "/api.js";
import { SystemTabs } from "/system.js";
import { Coded, Failure, Link, html, useLoaded, useState } from "/ui.js";

const nameOf = (schema) => schema.$ref?.split("/").at(-1);
const words = { integer: "whole number", number: "number", string: "text", boolean: "true or false", null: "null", object: "map" };

function inWords(schema) {
  if (schema.$ref) return nameOf(schema) === "Nothing" ? "nothing" : nameOf(schema);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.anyOf) return schema.anyOf.map(inWords).join(" or ");
  if (schema.type === "array") return `list of ${inWords(schema.items || schema.prefixItems?.[0] || {})}`;
  return words[schema.type] ?? "anything";
}

/** An example of what a schema takes. */
function sample(schema, schemas) {
  if (schema.$ref) return sample(schemas[nameOf(schema)], schemas);
  if ("default" in schema) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0], schemas);
  if (schema.type === "object")
    return Object.fromEntries(
      Object.entries(schema.properties ?? {})
        .filter(([name, one]) => schema.required?.includes(name) || !("default" in one))
        .map(([name, one]) => [name, sample(one, schemas)]),
    );
  if (schema.type === "array") return [];
  return { integer: schema.minimum ?? 1, number: schema.minimum ?? 1, boolean: true, string: "..." }[schema.type] ?? null;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curlOf(row, schemas) {
  const query = row.asked.filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=...`);
  const address = location.origin + row.path.replaceAll(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const parts = ["curl -s"];
  if (row.right) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (row.body) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(sample(row.body, schemas)))}`);
  if (row.takesPicture) parts.push("-H 'Content-Type: image/jpeg'", "--data-binary @PICTURE.jpg");
  parts.push(query.length ? quoted(`${address}?${query.join("&")}`) : address);
  if (row.isFile) parts.push("-o FILE");
  return parts.join(" ");
}

function rowsOf(told) {
  return Object.entries(told.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => {
      const given = one.responses["200"].content["application/json"]?.schema;
      return {
        path,
        method: method.toUpperCase(),
        what: one.summary,
        subject: one.tags[0],
        right: one.security.flatMap((way) => Object.values(way)[0])[0] ?? "",
        asked: one.parameters ?? [],
        body: one.requestBody?.content["application/json"]?.schema,
        takesPicture: Boolean(one.requestBody?.content["image/*"]),
        given,
        isFile: !given,
      };
    }),
  );
}

function Fields({ schema, schemas }) {
  const whole = schema.$ref ? schemas[nameOf(schema)] : (schema.items?.$ref && schemas[nameOf(schema.items)]) || schema;
  const fields = Object.entries(whole.properties ?? {});
  if (!fields.length) return null;
  return html`<dl class="fields">
    ${fields.map(([name, one]) => html`<dt><code>${name}</code></dt>
      <dd>${inWords(one)}${"default" in one ? `, else ${JSON.stringify(one.default)}` : ""}${one.description && html`<span class="quiet"> · <${Coded} text=${one.description} /></span>`}</dd>`)}
  </dl>`;
}

function Row({ row, schemas }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details class="route" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>
      <code><b>${row.method}</b> ${row.path}</code>
      <span class="grow"><${Coded} text=${row.what} /></span>
      <span class="tag">${row.right || "anybody"}</span>
    </summary>
    ${isOpen && html`<div class="inside">
      <pre>${curlOf(row, schemas)}</pre>
      ${row.asked.length > 0 && html`<h3>Takes, in the address</h3>
        <dl class="fields">
          ${row.asked.map((one) => html`<dt><code>${one.name}</code></dt>
            <dd>${inWords(one.schema)}${one.required ? "" : `, else ${JSON.stringify(one.schema.default)}`}
              ${one.description && html`<span class="quiet"> · <${Coded} text=${one.description} /></span>`}</dd>`)}
        </dl>`}
      ${row.takesPicture && html`<h3>Takes a picture</h3>`}
      ${row.body && inWords(row.body) !== "nothing" && html`<h3>Takes, as JSON</h3>
        <${Fields} schema=${row.body} schemas=${schemas} />`}
      <h3>Gives ${row.isFile ? "a file" : inWords(row.given)}</h3>
      ${!row.isFile && html`<${Fields} schema=${row.given} schemas=${schemas} />`}
    </div>`}
  </details>`;
}

export default function Programs({ who }) {
  const { value: told, error } = useLoaded(() => get("/openapi.json"), []);
  const [wanted, setWanted] = useState("");
  if (!told) return html`<${Failure} text=${error} />`;
  const schemas = told.components.schemas;
  const rows = rowsOf(told).filter((row) => `${row.method} ${row.path} ${row.what}`.toLowerCase().includes(wanted.toLowerCase()));
  const subjects = [...new Set(rows.map((row) => row.subject))];
  return html`<div class="page">
    <${SystemTabs} here="/api" who=${who} />
    <p>${told.info.description}</p>
    <p>A program uses a token, made with <code>jetstream tokens new NAME --may look</code> or ${who.may === "rule" ? html`under <${Link} to="/account">Account<//>` : "by who may rule"}. The same as OpenAPI 3.1:${" "}
      <a href="/openapi.json" download>openapi.json</a>.</p>
    <label class="narrow">Find<input type="search" value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></label>
    ${subjects.map((subject) => html`<section key=${subject} aria-label=${subject}>
      ${rows.filter((row) => row.subject === subject).map((row) => html`<${Row} key=${row.method + row.path} row=${row} schemas=${schemas} />`)}
    </section>`)}
    ${!rows.length && html`<p class="quiet">No address has these words.</p>`}
  </div>`;
}
