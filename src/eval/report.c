/* report.c - see report.h. */
#include "eval/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ adding */

/* One more element of `size` bytes behind the n that are there. */
static atm_status grow(void **array, int n, size_t size)
{
    void *more = realloc(*array, ((size_t)n + 1) * size);
    if (!more) return atm_fail(ATM_E_MEMORY, "no memory for a report of %d lines", n);
    *array = more;
    return ATM_OK;
}

atm_status atm_eval_add_row(atm_eval_report *r, const atm_eval_row *row)
{
    void *rows = r->row;
    TRY_RETURN(grow(&rows, r->n_rows, sizeof *r->row));
    r->row = rows;
    r->row[r->n_rows++] = *row;
    return ATM_OK;
}

atm_status atm_eval_add_note(atm_eval_report *r, const char *measure, const char *format, ...)
{
    void *notes = r->note;
    va_list arguments;
    TRY_RETURN(grow(&notes, r->n_notes, sizeof *r->note));
    r->note = notes;
    atm_eval_note *note = &r->note[r->n_notes++];
    note->measure = measure;
    va_start(arguments, format);
    vsnprintf(note->text, sizeof note->text, format, arguments);
    va_end(arguments);
    return ATM_OK;
}

atm_status atm_eval_add_fact(atm_eval_report *r, const char *name, const char *format, ...)
{
    void *facts = r->fact;
    va_list arguments;
    TRY_RETURN(grow(&facts, r->n_facts, sizeof *r->fact));
    r->fact = facts;
    atm_eval_fact *fact = &r->fact[r->n_facts++];
    fact->name = name;
    va_start(arguments, format);
    vsnprintf(fact->value, sizeof fact->value, format, arguments);
    va_end(arguments);
    return ATM_OK;
}

void atm_eval_report_free(atm_eval_report *r)
{
    free(r->row);
    free(r->note);
    free(r->fact);
    *r = (atm_eval_report){ 0 };
}
