/* int_list.h - short lists of integers in configuration files. */
#ifndef ATM_IO_INT_LIST_H
#define ATM_IO_INT_LIST_H

enum { ATM_LIST_MAX = 16 };

typedef struct atm_int_list { int n, v[ATM_LIST_MAX]; } atm_int_list;                    /* [3, 7, 11] */
typedef struct atm_int_table { int n; atm_int_list row[ATM_LIST_MAX]; } atm_int_table;   /* [[1, 3], [5]] */

#endif
