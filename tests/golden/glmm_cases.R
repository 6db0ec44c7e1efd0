# Logistic mixed models fitted by lme4: several factors and slopes by Laplace's approximation, one intercept by quadrature.
# Run in this folder: Rscript glmm_cases.R. Writes glmm_cases.csv and glmm_effects.csv.
suppressMessages(library(lme4))
options(digits = 12)

crossed <- read.csv("nested_crossed.csv")
crossed$high <- as.integer(crossed$y > median(crossed$y))
slopes <- read.csv("binary_slopes.csv")
tight <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-3, rhoend = 1e-9, maxfun = 1e6), tolPwrss = 1e-13,
                      check.conv.singular = "ignore")
fits <- list(
  crossed = glmer(high ~ x + (1 | person) + (1 | family) + (1 | item), crossed, binomial, tight),
  crossed_slopes = glmer(high ~ x + (1 + x | item) + (1 | person), crossed, binomial, tight),
  quadrature = glmer(y ~ x + z + (1 | person), slopes, binomial, tight, nAGQ = 15),
  single_slope = glmer(y ~ x + z + (0 + x | person), slopes, binomial, tight)
)
cases <- list(); effects <- list()
for (name in names(fits)) {
  m <- fits[[name]]
  add <- function(stat, value) cases[[length(cases) + 1]] <<- data.frame(case = name, stat = stat, value = as.numeric(value))
  for (b in names(fixef(m))) {
    add(paste0("beta[", b, "]"), fixef(m)[[b]])
    add(paste0("se[", b, "]"), sqrt(diag(as.matrix(vcov(m))))[[b]])
  }
  v <- as.data.frame(VarCorr(m))
  for (i in seq_len(nrow(v))) {
    own <- if (is.na(v$var2[i])) v$var1[i] else paste0(v$var1[i], ":", v$var2[i])
    add(paste0("sdcor[", v$grp[i], ":", own, "]"), v$sdcor[i])
  }
  add("logLik", logLik(m)); add("AIC", AIC(m)); add("BIC", BIC(m))
  r <- ranef(m, condVar = TRUE)
  for (g in names(r)) for (p in colnames(r[[g]])) {
    k <- match(p, colnames(r[[g]]))
    pv <- attr(r[[g]], "postVar")
    if (is.list(pv)) pv <- pv[[k]]
    sds <- if (length(dim(pv)) == 3 && dim(pv)[1] >= k) sqrt(pv[k, k, ]) else sqrt(pv[1, 1, ])
    effects[[length(effects) + 1]] <- data.frame(case = name, term = g, parameter = p, level = rownames(r[[g]]),
                                                 estimate = r[[g]][[p]], sd = sds)
  }
}
write.csv(do.call(rbind, cases), "glmm_cases.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, effects), "glmm_effects.csv", row.names = FALSE, quote = FALSE)
