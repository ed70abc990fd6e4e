"""Pages that are made from what the programs themselves are made from: the HTTP endpoints from their
OpenAPI document, the gRPC services from the protos with their comments, the permissions from
`viaductctl auth matrix`.
"""

import json
import os
import subprocess
import tempfile

from google.protobuf import descriptor_pb2

METHODS = ("get", "post", "put", "delete")
SERVICE, MESSAGE, ENUM = 6, 4, 5  # Fields of FileDescriptorProto, as paths of comments name them.
MEMBER = 2                        # Methods of a service, fields of a message, values of an enum.


def cell(text):
    return " ".join(str(text).replace("|", "\\|").split())


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(cell(c) for c in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


# ---- HTTP

def kind(schema):
    """What a value is, in words; a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema:
        return " or ".join(kind(one) for one in schema["oneOf"])
    what = schema.get("type", "anything")
    if what == "array":
        return f"array of {kind(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    limits = [f"{word} {schema[key]}" for key, word in
              (("minimum", "at least"), ("maximum", "at most"), ("maxLength", "at most"))
              if key in schema]
    if "default" in schema:
        limits.append(f"default {schema['default']}")
    return what + (f" ({', '.join(limits)})" if limits else "")


def members(schema):
    required = schema.get("required", [])
    rows = [(f"`{name}`", kind(value), "yes" if name in required else "",
             value.get("description", "")) for name, value in schema.get("properties", {}).items()]
    return table(("member", "is", "required", ""), rows) if rows else kind(schema) + "\n"


def body(content):
    schema = next(iter(content.values())).get("schema", {})
    return members(schema) if "properties" in schema else kind(schema) + "\n"


def endpoint(path, method, what, responses):
    text = [f"### {method.upper()} `{path}`\n", what["summary"] + ".\n"]
    parameters = [(f"`{p['name']}`", p["in"], kind(p.get("schema", {})), p.get("description", ""))
                  for p in what.get("parameters", [])]
    if parameters:
        text.append(table(("parameter", "in", "is", ""), parameters))
    if "requestBody" in what:
        text.append("Body:\n\n" + body(what["requestBody"]["content"]))
    rows = []
    for status, answer in what["responses"].items():
        if "$ref" in answer:
            answer = responses[answer["$ref"].rsplit("/", 1)[1]]
        rows.append((status, answer.get("description", "")))
    text.append(table(("status", "when"), rows))
    good = what["responses"].get("200", {}).get("content")
    if good:
        text.append("Answer:\n\n" + body(good))
    return "\n".join(text)


def http(openapi_path):
    with open(openapi_path) as f:
        document = json.load(f)
    text = ["# HTTP endpoints\n", document["info"]["description"],
            "A node serves the same document at `/api/openapi.json`. Events, topics and examples are in "
            "[API](../docs/API.md); who may do what is in [permissions](permissions.md).\n"]
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                text.append(endpoint(path, method, item[method],
                                     document["components"]["responses"]))
    text.append("## Objects\n")
    for name, schema in document["components"]["schemas"].items():
        text += [f"### {name}\n", members(schema)]
    return "\n".join(text)


# ---- gRPC

def described(protos):
    """The files of the protos, with their comments."""
    names = [os.path.relpath(os.path.join(folder, file), protos)
             for folder, _, files in os.walk(os.path.join(protos, "viaduct")) for file in files
             if file.endswith(".proto")]
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{protos}", "--include_source_info",
                        f"--descriptor_set_out={out.name}", *sorted(names)], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read()).file


def comments(file):
    return {tuple(place.path): (place.leading_comments or place.trailing_comments).strip()
            for place in file.source_code_info.location}


def short(type_name):
    return type_name.rsplit(".", 1)[1]


def field_kind(field, maps):
    types = descriptor_pb2.FieldDescriptorProto
    entry = maps.get(short(field.type_name)) if field.type_name else None
    if entry is not None:
        return f"map of {field_kind(entry.field[0], {})} to {field_kind(entry.field[1], {})}"
    if field.type_name:
        own = field.type_name.startswith(".viaduct.")
        name = short(field.type_name)
        what = f"[{name}](#{name.lower()})" if own else f"`{field.type_name[1:]}`"
    else:
        what = types.Type.Name(field.type)[len("TYPE_"):].lower()
    return f"repeated {what}" if field.label == types.LABEL_REPEATED else what


def message(one, path, notes, out):
    if one.options.map_entry:
        return
    out += [f"### {one.name}\n", notes.get(path, "") + "\n"]
    maps = {nested.name: nested for nested in one.nested_type if nested.options.map_entry}
    rows = [(f"`{f.name}`", field_kind(f, maps), notes.get((*path, MEMBER, i), ""))
            for i, f in enumerate(one.field)]
    if rows:
        out.append(table(("field", "is", ""), rows))
    for i, nested in enumerate(one.nested_type):
        message(nested, (*path, 3, i), notes, out)
    for i, nested in enumerate(one.enum_type):
        enumeration(nested, (*path, 4, i), notes, out)


def enumeration(one, path, notes, out):
    out += [f"### {one.name}\n", notes.get(path, "") + "\n",
            table(("value", ""), [(f"`{v.name}`", notes.get((*path, MEMBER, i), ""))
                                  for i, v in enumerate(one.value)])]


def grpc(protos):
    services, objects = [], []
    for file in described(protos):
        notes = comments(file)
        for i, service in enumerate(file.service):
            services += [f"## {file.package}.{service.name}\n", notes.get((SERVICE, i), "") + "\n"]
            for j, method in enumerate(service.method):
                asked = ("stream " if method.client_streaming else "") + short(method.input_type)
                answer = ("stream " if method.server_streaming else "") + short(method.output_type)
                services += [f"### {service.name}.{method.name}\n",
                             notes.get((SERVICE, i, MEMBER, j), "") + "\n",
                             f"[{asked}](#{short(method.input_type).lower()}) → "
                             f"[{answer}](#{short(method.output_type).lower()})\n"]
        for i, one in enumerate(file.message_type):
            message(one, (MESSAGE, i), notes, objects)
        for i, one in enumerate(file.enum_type):
            enumeration(one, (ENUM, i), notes, objects)
    return "\n".join(["# gRPC services\n", "Made from `proto/`. Examples of every call are in "
                      "[CONTROL](../docs/CONTROL.md); a node answers reflection.\n", *services,
                      "## Messages\n", *objects])


# ---- permissions

def permissions(viaductctl):
    done = subprocess.run([viaductctl, "-j", "auth", "matrix"], capture_output=True, text=True,
                          check=True)
    columns = ("surface", "action", "nobody", "viewer", "operator", "admin", "device", "scope")
    rows = [[f"`{row[c]}`" if c == "action" else row[c] for c in columns]
            for row in json.loads(done.stdout)["permissions"]]
    return "\n".join(["# Who may do what\n",
                      "Every route, event, topic and call, by role; `own`: only with its own id. It is the "
                      "table that a node decides by, as `viaductctl auth matrix` prints it. See "
                      "[SECURITY](../docs/SECURITY.md).\n", table(columns, rows)])
