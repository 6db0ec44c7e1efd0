# Linear and logistic mixed models fitted by lme4 (maximum likelihood; Laplace approximation for the logistic ones), with
# effects and their conditional variances. Run in this folder: Rscript lme4_cases.R
# Writes orthodont.csv, dyestuff2.csv (nlme and lme4, GPL), binary_slopes.csv (simulated here), lme4_cases.csv, lme4_effects.csv.
suppressMessages(library(lme4))
options(digits = 12)

sleep <- read.csv("sleepstudy.csv", colClasses = c(Subject = "character"))
# person number s (from 0, in the order of the file) keeps the days up to s modulo 10
place <- match(sleep$Subject, unique(sleep$Subject)) - 1
unbalanced <- sleep[sleep$Days <= place %% 10, ]
orthodont <- as.data.frame(nlme::Orthodont)
orthodont <- data.frame(distance = orthodont$distance, age = orthodont$age,
                        Subject = as.character(orthodont$Subject), Sex = as.character(orthodont$Sex))
write.csv(orthodont, "orthodont.csv", row.names = FALSE, quote = FALSE)
write.csv(Dyestuff2, "dyestuff2.csv", row.names = FALSE, quote = FALSE)

set.seed(20)
persons <- 30; rows <- 25
binary <- data.frame(person = rep(sprintf("p%02d", 1:persons), each = rows), x = round(rnorm(persons * rows), 3),
                     z = round(rnorm(persons * rows), 3))
intercept <- rnorm(persons); slope <- 0.6 * intercept + 0.6 * rnorm(persons)
eta <- -0.3 + 0.8 * intercept[rep(1:persons, each = rows)] + (0.7 + slope[rep(1:persons, each = rows)]) * binary$x - 0.5 * binary$z
binary$y <- rbinom(nrow(binary), 1, plogis(eta))
write.csv(binary, "binary_slopes.csv", row.names = FALSE, quote = FALSE)

tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), check.conv.singular = "ignore")
gtight <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-3, rhoend = 1e-9, maxfun = 1e6), tolPwrss = 1e-12,
                       check.conv.singular = "ignore")
linear <- function(formula, data) lmer(formula, data, REML = FALSE, control = tight)
logistic <- function(formula, data) glmer(formula, data, family = binomial, nAGQ = 1, control = gtight)
fits <- list(
  sleep_diag = linear(Reaction ~ Days + (Days || Subject), sleep),
  sleep_unbal_int = linear(Reaction ~ Days + (1 | Subject), unbalanced),
  sleep_unbal_diag = linear(Reaction ~ Days + (Days || Subject), unbalanced),
  sleep_unbal_corr = linear(Reaction ~ Days + (Days | Subject), unbalanced),
  orthodont_corr = linear(distance ~ age + (age | Subject), orthodont),
  orthodont_sexes = linear(distance ~ age * Sex + (age | Subject), orthodont),
  dyestuff2 = linear(Yield ~ 1 + (1 | Batch), Dyestuff2),
  binary_int = logistic(y ~ x + z + (1 | person), binary),
  binary_diag = logistic(y ~ x + z + (1 | person) + (0 + x + z || person), binary),
  binary_corr = logistic(y ~ x + (x | person), binary)
)
values <- effects <- NULL
for (case in names(fits)) {
  fit <- fits[[case]]
  varying <- as.data.frame(VarCorr(fit))
  varying <- varying[varying$grp != "Residual", ]
  label <- ifelse(is.na(varying$var2), varying$var1, paste(varying$var1, varying$var2))
  row <- function(stat, value) data.frame(case = case, stat = stat, value = unname(value))
  values <- rbind(values, row(paste0("beta[", names(fixef(fit)), "]"), fixef(fit)),
                  row(paste0("sdcor[", label, "]"), varying$sdcor), row("sigma", sigma(fit)),
                  row("logLik", as.numeric(logLik(fit))))
  found <- as.data.frame(ranef(fit, condVar = TRUE))
  effects <- rbind(effects, data.frame(case = case, level = found$grp, parameter = found$term, estimate = found$condval,
                                       sd = found$condsd))
}
write.csv(format(values, digits = 12, trim = TRUE), "lme4_cases.csv", row.names = FALSE, quote = FALSE)
write.csv(format(effects, digits = 12, trim = TRUE), "lme4_effects.csv", row.names = FALSE, quote = FALSE)
