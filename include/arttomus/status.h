/* status.h - what every arttomus function that can fail returns.
 *
 * The values are the exit codes of sysexits.h, so a program may end with
 * `return status;`.  The text of the last error of this thread is
 * atm_error(): what, where, the two values that disagree, the remedy. */
#ifndef ARTTOMUS_STATUS_H
#define ARTTOMUS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ATM_API
#define ATM_API __attribute__((visibility("default")))
#endif

typedef enum atm_status {
    ATM_OK          = 0,
    ATM_E_USAGE     = 64,  /* wrong call or command line                      */
    ATM_E_DATA      = 65,  /* a file's content is broken or refused           */
    ATM_E_NOINPUT   = 66,  /* a file is missing or cannot be read             */
    ATM_E_DEVICE    = 69,  /* the requested backend or device is not here     */
    ATM_E_BUG       = 70,  /* our fault, not the caller's                     */
    ATM_E_MEMORY    = 71,  /* out of memory                                   */
    ATM_E_IO        = 74,  /* writing failed                                  */
    ATM_E_REQUEUE   = 75,  /* training was asked to stop: saved, run it again   */
    ATM_E_PEER      = 76,  /* another rank of a training run was lost         */
    ATM_E_CONFIG    = 78,  /* a configuration key or value is wrong           */
    ATM_E_CANCELLED = 130  /* the caller's progress callback asked to stop    */
} atm_status;

/* Message of the last failure on the calling thread; "" when there was none.
 * Owned by the library, valid until this thread's next failure. */
ATM_API const char *atm_error(void);

#ifdef __cplusplus
}
#endif
#endif
