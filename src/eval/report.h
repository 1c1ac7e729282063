/* report.h - what was measured, as rows, and the two files that tell it.
 *
 * A row is one number with what it has to be compared with; JSON and Markdown are made from the
 * same rows, so a measure only adds rows. */
#ifndef ATM_EVAL_REPORT_H
#define ATM_EVAL_REPORT_H

#include <stddef.h>

#include "eval/bootstrap.h"

enum { ATM_EVAL_CONTROLS = 6, ATM_EVAL_NAME = 80, ATM_EVAL_NOTE = 400 };

typedef struct { const char *name; atm_estimate is; } atm_eval_control;     /* a static text */

typedef struct {
    const char *measure;                    /* "reconstruction": static texts, as `unit` and `meaning` */
    char name[ATM_EVAL_NAME];               /* "log-mel L1, VAE"                                  */
    const char *unit, *meaning;
    int n;                                  /* how many numbers the value is the mean of          */
    const char *of;                         /* what they are: "clips"                             */
    int units;                              /* how many of them are independent; 0: all           */
    const char *units_of;                   /* "tracks"                                           */
    atm_estimate is;
    int n_controls;
    atm_eval_control control[ATM_EVAL_CONTROLS];
} atm_eval_row;

typedef struct { const char *measure; char text[ATM_EVAL_NOTE]; } atm_eval_note;

/* One line at the head of the report: "steps", "25". */
typedef struct { const char *name; char value[ATM_EVAL_NAME]; } atm_eval_fact;

typedef struct {
    atm_eval_row *row;
    atm_eval_note *note;                    /* what could not be measured and why; advice */
    atm_eval_fact *fact;
    int n_rows, n_notes, n_facts;
} atm_eval_report;                          /* {0} is empty */

/* Each copies what it is given. */
atm_status atm_eval_add_row(atm_eval_report *report, const atm_eval_row *row);
atm_status atm_eval_add_note(atm_eval_report *report, const char *measure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
atm_status atm_eval_add_fact(atm_eval_report *report, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void       atm_eval_report_free(atm_eval_report *report);       /* back to {0} */

/* Writes PATH.json and PATH.md, each whole or not at all. */
atm_status atm_eval_report_write(const atm_eval_report *report, const char *path);

#endif
