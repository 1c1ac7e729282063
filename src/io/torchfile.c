/* torchfile.c - the two containers of torch.save(): where the pickle is, and where
 * the bytes of a storage are. */
#include "io/torchfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch_state.h"
#include "io/zip.h"

static atm_status fail(const char *reason) { return atm_fail(ATM_E_DATA, "torch file: %s", reason); }

/* ---------------------------------------------------------------- zip: 1.6 on */

enum { MAX_PATH = 1024 };

typedef struct { atm_zip zip; char root[MAX_PATH]; } zip_container;

static const atm_zip_entry *entry_of(const zip_container *c, const char *below, const char *key, size_t n)
{
    char name[MAX_PATH];
    int bytes = snprintf(name, sizeof name, "%s%s%.*s", c->root, below, (int)n, key);
    return bytes < MAX_PATH && n < MAX_PATH ? atm_zip_find(&c->zip, name) : NULL;
}

/* The folder's name is the file's when it was saved, so any: look for ROOT/data.pkl. */
static atm_status find_root(zip_container *c)
{
    static const char tail[] = "/data.pkl";
    const char *found = NULL;
    for (size_t i = 0; i < c->zip.n; i++) {
        const char *name = c->zip.entry[i].name;
        size_t n = strlen(name);
        if (n < sizeof tail || n >= MAX_PATH || strcmp(name + n - (sizeof tail - 1), tail) != 0) continue;
        if (found) return fail("has two data.pkl");
        found = name;
    }
    if (!found) return fail("a zip without data.pkl");
    snprintf(c->root, sizeof c->root, "%.*s", (int)(strlen(found) - (sizeof tail - 2)), found);
    return ATM_OK;
}

static atm_status check_kind(const zip_container *c)
{
    const atm_zip_entry *order = entry_of(c, "byteorder", "", 0);
    if (order && (!order->data || order->bytes != 6 || memcmp(order->data, "little", 6) != 0))
        return fail("is not little-endian");
    bool script = entry_of(c, "constants.pkl", "", 0) != NULL;
    return script ? fail("is TorchScript code; save the state_dict instead") : ATM_OK;
}

static atm_status check_stored(const atm_zip_entry *entry)
{
    return entry->data ? ATM_OK : atm_fail(ATM_E_DATA, "torch file: %s is compressed", entry->name);
}

static atm_status find_in_zip(void *container, atm_torch_key key, atm_torch_storage *s)
{
    const atm_zip_entry *entry = entry_of(container, "data/", key.text, key.n);
    if (!entry) return fail("a storage is missing");
    TRY_RETURN(check_stored(entry));
    if (entry->bytes < s->bytes) return fail("a storage is too short");
    s->data = (const char *)entry->data;
    return ATM_OK;
}

static atm_status read_zip(zip_container *c, atm_torch_reader *r)
{
    atm_pickle pickle;
    TRY_RETURN(find_root(c));
    TRY_RETURN(check_kind(c));
    const atm_zip_entry *entry = entry_of(c, "data.pkl", "", 0);
    TRY_RETURN(check_stored(entry));
    TRY_RETURN(atm_torch_read_pickle(r, entry->data, entry->bytes, &pickle));
    return atm_torch_add_state(r, pickle.root);
}

atm_status atm_torch_zip_parse(const void *bytes, size_t size, atm_tensor_set *set)
{
    zip_container c = { .root = "" };
    atm_torch_reader r = { .set = set, .may_copy = size, .find = find_in_zip, .container = &c };
    atm_status status = atm_zip_read(bytes, size, &r.scratch, &c.zip);
    if (status == ATM_OK) status = read_zip(&c, &r);
    atm_arena_free(&r.scratch);
    return status;
}

/* ------------------------------------------------------- pickles: before 1.6
 *
 * Five pickles: magic number, protocol version 1001, {"little_endian": True, ...}, the
 * state, and the list of storage keys; then, in that list's order, each
 * storage as i64 numel and its elements. */

typedef struct { atm_torch_key key; atm_torch_storage s; } keyed;
typedef struct { keyed *storage; size_t n; } legacy_container;

typedef struct {
    atm_torch_reader *r;
    const unsigned char *p;
    size_t left;
} cursor;

static atm_status next_pickle(cursor *at, atm_pickle *out)
{
    TRY_RETURN(atm_torch_read_pickle(at->r, at->p, at->left, out));
    at->p += out->bytes;
    at->left -= out->bytes;
    return ATM_OK;
}

static const atm_pickle_value *dict_get(const atm_pickle_value *dict, const char *key)
{
    for (size_t i = 0; dict->kind == ATM_PICKLE_DICT && i + 1 < dict->n; i += 2)
        if (atm_pickle_is_text(dict->item[i], key)) return dict->item[i + 1];
    return NULL;
}

static atm_status check_preamble(cursor *at)
{
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    atm_pickle p;
    TRY_RETURN(next_pickle(at, &p));
    if (p.root->kind != ATM_PICKLE_LONG || p.root->n != 10 || memcmp(p.root->text, magic, 10) != 0)
        return fail("a pickle, but not of torch.save()");
    TRY_RETURN(next_pickle(at, &p));
    if (p.root->kind != ATM_PICKLE_INT || p.root->integer != 1001)
        return fail("has an unknown protocol version");
    TRY_RETURN(next_pickle(at, &p));
    const atm_pickle_value *little = dict_get(p.root, "little_endian");
    bool ok = little && little->kind == ATM_PICKLE_BOOL && little->integer;
    return ok ? ATM_OK : fail("is not little-endian");
}

static int by_key(const void *a, const void *b)
{
    const atm_torch_key *x = &((const keyed *)a)->key, *y = &((const keyed *)b)->key;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return memcmp(x->text, y->text, x->n);
}

static keyed *lookup(const legacy_container *c, atm_torch_key key)
{
    const keyed wanted = { .key = key };
    return c->n ? bsearch(&wanted, c->storage, c->n, sizeof wanted, by_key) : NULL;
}

static atm_status find_in_pickle(void *container, atm_torch_key key, atm_torch_storage *s)
{
    const keyed *found = lookup(container, key);
    if (!found || !found->s.data || found->s.dtype != s->dtype || found->s.numel < s->numel)
        return fail("a storage is missing or too short");
    s->data = found->s.data;
    return ATM_OK;
}

/* The storages that the state names, each once: their dtypes say how long they are. */
static atm_status list_storages(const atm_pickle *state, atm_arena *arena, legacy_container *c)
{
    size_t n = 0, kept = 0;
    for (const atm_pickle_value *v = state->persistent; v; v = v->next) n++;
    c->storage = atm_arena_alloc(arena, n + 1, sizeof *c->storage);
    if (!c->storage) return atm_fail(ATM_E_MEMORY, "no memory for %zu storages", n);
    for (const atm_pickle_value *v = state->persistent; v; v = v->next, c->n++)
        TRY_RETURN(atm_torch_read_id(v, &c->storage[c->n].key, &c->storage[c->n].s));
    qsort(c->storage, c->n, sizeof *c->storage, by_key);
    for (size_t i = 0; i < c->n; i++)
        if (!kept || by_key(&c->storage[kept - 1], &c->storage[i]) != 0) c->storage[kept++] = c->storage[i];
    c->n = kept;
    return ATM_OK;
}

static atm_status take_storage(cursor *at, keyed *k)
{
    uint64_t numel = 0;
    if (at->left < 8) return fail("truncated");
    for (int i = 7; i >= 0; i--) numel = numel << 8 | at->p[i];
    if (numel != k->s.numel || k->s.bytes > at->left - 8)
        return fail("a storage is truncated, or not as announced");
    k->s.data = (const char *)at->p + 8;
    at->p += 8 + k->s.bytes;
    at->left -= 8 + k->s.bytes;
    return ATM_OK;
}

static atm_status place_storages(cursor *at, const atm_pickle_value *keys, const legacy_container *c)
{
    if (keys->kind != ATM_PICKLE_LIST) return fail("has no list of storages");
    for (size_t i = 0; i < keys->n; i++) {
        const atm_pickle_value *key = keys->item[i];
        keyed *k = key->kind == ATM_PICKLE_TEXT ? lookup(c, (atm_torch_key){ key->text, key->n }) : NULL;
        if (!k || k->s.data) return fail("lists a storage that no tensor has, or twice");
        TRY_RETURN(take_storage(at, k));
    }
    return ATM_OK;
}

static atm_status read_legacy(cursor *at, legacy_container *c)
{
    atm_pickle state, keys;
    TRY_RETURN(check_preamble(at));
    TRY_RETURN(next_pickle(at, &state));
    TRY_RETURN(next_pickle(at, &keys));
    TRY_RETURN(list_storages(&state, &at->r->scratch, c));
    TRY_RETURN(place_storages(at, keys.root, c));
    return atm_torch_add_state(at->r, state.root);
}

atm_status atm_torch_legacy_parse(const void *bytes, size_t size, atm_tensor_set *set)
{
    legacy_container c = { 0 };
    atm_torch_reader r = { .set = set, .may_copy = size, .find = find_in_pickle, .container = &c };
    cursor at = { &r, bytes, size };
    atm_status status = read_legacy(&at, &c);
    atm_arena_free(&r.scratch);
    return status;
}
